package chassis

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// Events holds the settings of pkg/events, see [events.Config]. A zero value stands for the default of the library.
type Events struct {
	// RetryDelays lists the delays after the failed attempts of a handler, in rising order.
	RetryDelays []time.Duration `env:"RETRY_DELAYS"`
	// Workers is the number of events that a subscription handles at the same time.
	Workers int `env:"EVENTS_WORKERS"`
	// HandlerTimeout is the longest duration of one attempt of a handler.
	HandlerTimeout time.Duration `env:"EVENTS_HANDLER_TIMEOUT"`
	// PauseLimit is how long a handler pauses with unacknowledged deliveries while a dependency is unavailable.
	PauseLimit time.Duration `env:"EVENTS_PAUSE_LIMIT"`
	// PollInterval is how often the relay looks for due events in the outbox.
	PollInterval time.Duration `env:"EVENTS_POLL_INTERVAL"`
	// BatchSize is the most events that the relay sends in one batch.
	BatchSize int `env:"EVENTS_BATCH_SIZE"`
	// PublishTimeout is how long the relay waits for the broker to confirm a batch.
	PublishTimeout time.Duration `env:"EVENTS_PUBLISH_TIMEOUT"`
	// LeaseTTL is how long the lease of a relay is valid without a renewal.
	LeaseTTL time.Duration `env:"EVENTS_LEASE_TTL"`
	// MaxPublishAttempts is how often the broker can reject an event before the relay parks it.
	MaxPublishAttempts int `env:"EVENTS_MAX_PUBLISH_ATTEMPTS"`
	// InboxRetention is how long inbox records are kept.
	InboxRetention time.Duration `env:"EVENTS_INBOX_RETENTION"`
	// ReplayWindow is how old a dead letter can be when it is replayed.
	ReplayWindow time.Duration `env:"EVENTS_REPLAY_WINDOW"`
	// CleanupInterval is how often old inbox records are purged.
	CleanupInterval time.Duration `env:"EVENTS_CLEANUP_INTERVAL"`
	// Audit keeps every published event in the table event_log, which only grows.
	Audit bool `env:"EVENTS_AUDIT"`
}

func defaultEvents() Events {
	return Events{
		RetryDelays:        []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute},
		Workers:            8,
		HandlerTimeout:     30 * time.Second,
		PauseLimit:         10 * time.Minute,
		PollInterval:       250 * time.Millisecond,
		BatchSize:          200,
		PublishTimeout:     15 * time.Second,
		LeaseTTL:           5 * time.Second,
		MaxPublishAttempts: 10,
		InboxRetention:     30 * 24 * time.Hour,
		ReplayWindow:       21 * 24 * time.Hour,
		CleanupInterval:    time.Minute,
	}
}

// eventsConfig returns the configuration of the bus of a service. It is the only place that maps settings to fields of
// the library.
func (c Config) eventsConfig(s Service) events.Config {
	return events.Config{
		Service:     s.Name,
		Source:      "/quadrille/" + s.Name,
		Events:      s.Events,
		RetryDelays: c.Events.RetryDelays,
		Handlers: events.HandlerConfig{
			Workers: c.Events.Workers, Timeout: c.Events.HandlerTimeout, PauseLimit: c.Events.PauseLimit,
		},
		Relay: events.RelayConfig{
			PollInterval: c.Events.PollInterval, BatchSize: c.Events.BatchSize, PublishTimeout: c.Events.PublishTimeout,
			LeaseTTL: c.Events.LeaseTTL, MaxPublishAttempts: c.Events.MaxPublishAttempts,
		},
		Inbox: events.InboxConfig{
			Retention: c.Events.InboxRetention, ReplayWindow: c.Events.ReplayWindow, CleanupInterval: c.Events.CleanupInterval,
		},
		Audit: c.Events.Audit,
		// The bus stops in the second phase of the shutdown, see Serve.
		ShutdownTimeout: c.ShutdownTimeout / 2,
	}
}

func (e Events) validate() error {
	var errs []error
	if len(e.RetryDelays) == 0 || slices.Min(e.RetryDelays) < time.Millisecond || !slices.IsSorted(e.RetryDelays) {
		errs = append(errs, errors.New("RETRY_DELAYS must be durations of at least 1ms in rising order"))
	}
	for _, s := range []struct {
		name  string
		value int64
	}{
		{"EVENTS_WORKERS", int64(e.Workers)},
		{"EVENTS_HANDLER_TIMEOUT", int64(e.HandlerTimeout)},
		{"EVENTS_PAUSE_LIMIT", int64(e.PauseLimit)},
		{"EVENTS_POLL_INTERVAL", int64(e.PollInterval)},
		{"EVENTS_BATCH_SIZE", int64(e.BatchSize)},
		{"EVENTS_PUBLISH_TIMEOUT", int64(e.PublishTimeout)},
		{"EVENTS_LEASE_TTL", int64(e.LeaseTTL)},
		{"EVENTS_MAX_PUBLISH_ATTEMPTS", int64(e.MaxPublishAttempts)},
		{"EVENTS_REPLAY_WINDOW", int64(e.ReplayWindow)},
		{"EVENTS_CLEANUP_INTERVAL", int64(e.CleanupInterval)},
	} {
		if s.value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive", s.name))
		}
	}
	var retries time.Duration
	for _, d := range e.RetryDelays {
		retries += d
	}
	if e.InboxRetention <= e.ReplayWindow+retries {
		errs = append(errs, errors.New("EVENTS_INBOX_RETENTION must exceed the replay window plus the sum of the retry delays"))
	}
	return errors.Join(errs...)
}
