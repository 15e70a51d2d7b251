package events

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Config configures a bus. Only Service is required. A zero field has the default named beside it.
type Config struct {
	// Service names the publisher, its exchange and its queues: lower case, such as "inventory".
	Service string
	// Instance identifies this process among all instances of the service. Default: a random UUID.
	Instance string
	// Source is the source attribute of the envelope. Default: "/" + Service.
	Source string
	// SchemaBase is the URI prefix of the dataschema attribute, followed by the event type and ".json". Default: the
	// envelope has no dataschema.
	SchemaBase string
	// Events declares every event that the service publishes or handles.
	Events []Declaration

	// RetryDelays are the delays after the first, second, … failure of a handler. After the last one the event becomes a
	// dead letter. All instances and the declared topology must agree on them. Default: 1s, 5s, 30s, 2m, 10m.
	RetryDelays []time.Duration
	// Audit keeps a copy of every published event in the table event_log, which only grows. It is meant for tests and
	// demonstrations. Default: off.
	Audit bool
	// DeclareTopology makes Run declare the service's exchanges and queues on the broker, until that succeeds. Default:
	// off, another program declares NewTopology.
	DeclareTopology bool
	// AutoMigrate makes Run call Migrate before anything else, until that succeeds. Default: off, the caller does.
	AutoMigrate bool

	Relay    RelayConfig
	Handlers HandlerConfig
	Inbox    InboxConfig

	// ShutdownTimeout is how long running handlers and the relay may take to finish after Run's context has ended.
	// Default: 20s.
	ShutdownTimeout time.Duration

	// OnDeadLetter is called when an event is among the dead letters, whether the bus or the broker gave it up, and before
	// its delivery is acknowledged: more than once if the process crashes in between. Default: an error log line. The
	// metric events.dead_lettered counts in any case.
	OnDeadLetter func(ctx context.Context, d DeadLetter)
	// Logger receives the library's log lines. Default: slog.Default().
	Logger *slog.Logger
	// TracerProvider provides spans, MeterProvider metrics. Defaults: the global ones of OpenTelemetry.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	// Now, NewID and Jitter are the clock, the source of event ids and the source of randomness in [0, 1). Tests replace
	// them. Defaults: time.Now, UUIDv7, math/rand.
	Now    func() time.Time
	NewID  func() string
	Jitter func() float64
}

// RelayConfig configures how the outbox is published.
type RelayConfig struct {
	// PollInterval is the time between two reads of the outbox without a commit in this process. Default: 250ms.
	PollInterval time.Duration
	// BatchSize is the number of events published at once; two batches may be in flight. Default: 200.
	BatchSize int
	// PublishTimeout bounds the wait for the broker's confirms of a batch. Default: 15s.
	PublishTimeout time.Duration
	// LeaseTTL is the time after which another instance replaces a relay that does not renew its lease. Default: 5s.
	LeaseTTL time.Duration
	// MaxPublishAttempts is the number of rejections by the broker after which an event is parked. Default: 10.
	MaxPublishAttempts int
}

// HandlerConfig configures how subscriptions are served. WithWorkers and WithTimeout override it for one subscription.
type HandlerConfig struct {
	// Workers is the number of events that one subscription handles at once in one instance. Default: 8.
	Workers int
	// Timeout bounds one attempt of a handler. Default: 30s.
	Timeout time.Duration
	// PauseLimit is how long a delivery stays unacknowledged while the database or an external system is unavailable. Then
	// it is requeued. It must be well below the broker's consumer timeout (RabbitMQ: 30m). Default: 10m.
	PauseLimit time.Duration
}

// InboxConfig configures how long inbox records are kept. Retention must exceed ReplayWindow plus the retry delays.
type InboxConfig struct {
	// Retention is the age at which inbox records are purged. Default: 30 days.
	Retention time.Duration
	// ReplayWindow is the age up to which dead letters may be replayed. Default: 21 days.
	ReplayWindow time.Duration
	// CleanupInterval is the time between two purges. Default: 1m.
	CleanupInterval time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.Instance, uuid.NewString())
	setDefault(&c.Source, "/"+c.Service)
	if c.RetryDelays == nil {
		c.RetryDelays = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	setDefault(&c.Relay.PollInterval, 250*time.Millisecond)
	setDefault(&c.Relay.BatchSize, 200)
	setDefault(&c.Relay.PublishTimeout, 15*time.Second)
	setDefault(&c.Relay.LeaseTTL, 5*time.Second)
	setDefault(&c.Relay.MaxPublishAttempts, 10)
	setDefault(&c.Handlers.Workers, 8)
	setDefault(&c.Handlers.Timeout, 30*time.Second)
	setDefault(&c.Handlers.PauseLimit, 10*time.Minute)
	setDefault(&c.Inbox.Retention, 30*24*time.Hour)
	setDefault(&c.Inbox.ReplayWindow, 21*24*time.Hour)
	setDefault(&c.Inbox.CleanupInterval, time.Minute)
	setDefault(&c.ShutdownTimeout, 20*time.Second)
	setDefault(&c.Logger, slog.Default())
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	if c.OnDeadLetter == nil {
		log := c.Logger
		c.OnDeadLetter = func(ctx context.Context, d DeadLetter) {
			log.ErrorContext(ctx, "dead letter", "queue", d.Queue.String(), "reason", string(d.Reason),
				"event_id", d.Metadata.ID, "event_type", d.Metadata.Type, "subject", d.Metadata.Subject,
				"attempts", d.Attempts, "error", d.Err)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return c
}

// setDefault sets a zero field.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
