package relay

import (
	"log/slog"
	"time"
)

// Config is the part of the bus's configuration that concerns the relay.
type Config struct {
	Service            string
	PollInterval       time.Duration
	BatchSize          int
	PublishTimeout     time.Duration
	LeaseTTL           time.Duration
	MaxPublishAttempts int
	Now                func() time.Time
	Jitter             func() float64
	Logger             *slog.Logger
}
