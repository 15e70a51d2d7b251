package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Config says who the service is and how patient it is. Only Service is required; every zero field takes the
// default named beside it.
type Config struct {
	// Events declares every event that the service publishes or handles.
	Events []Declaration
	// Service names the publisher, the exchange and the queues: lower case, "inventory".
	Service string
	// Instance tells this process from all others of the same service, ever. Default: a random UUID.
	Instance string
	// Source is the envelope's source. Default: "/quadrille/" + Service.
	Source string
	// SchemaBase, if set, is the URI prefix of dataschema; the event type and ".json" follow it.
	SchemaBase string

	// RetryLadder holds the delays after the first, second, … failure of a reaction. When it is used up, the event
	// goes to the dead letters. Default: 1s, 5s, 30s, 2m, 10m. All instances and the topology must agree on it.
	RetryDelays []time.Duration
	// Workers is the number of events one subscription handles at once. Default: 8.
	Workers int
	// HandlerTimeout bounds one attempt of a reaction. Default: 30s.
	HandlerTimeout time.Duration
	// PauseLimit is how long deliveries are held unacknowledged while the database or an outside party is away,
	// before they are given back. It must stay well below the broker's consumer timeout (RabbitMQ: 30 minutes).
	// Default: 10m.
	PauseLimit time.Duration
	// ShutdownTimeout bounds the second phase of the shutdown: what is in flight may finish. Default: 20s.
	ShutdownTimeout time.Duration

	// PollInterval is how often the relay looks for rows that nobody woke it for. Default: 250ms.
	PollInterval time.Duration
	// BatchSize is the most rows that the relay sends at once; two batches may be in flight. Default: 200.
	BatchSize int
	// PublishTimeout is how long the relay waits for the broker's word on a batch. Default: 15s.
	PublishTimeout time.Duration
	// LeaseTTL is how long after its last sign of life a relay is replaced. Default: 5s.
	LeaseTTL time.Duration
	// RefusalLimit is how often the broker may refuse a row before it is parked. Default: 10.
	MaxPublishAttempts int

	// InboxRetention is how long marks are kept, ReplayWindow how old a dead letter may be when it is replayed.
	// The first must exceed the second plus the ladder. Defaults: 30 and 21 days.
	InboxRetention time.Duration
	ReplayWindow   time.Duration
	// CleanupInterval is the time between clean-ups of old marks. Default: 1m.
	CleanupInterval time.Duration

	// Audit keeps every published event in the table event_log. Meant for tests and demonstrations: it only grows.
	Audit bool

	// OnDeadLetter is called before the bus sends an event to the dead letters; more than once if a crash intervenes.
	// What the broker itself gives up on, after very many crashes over one delivery, is not seen here.
	// Default: an error log line. The metric is counted in any case.
	OnDeadLetter func(ctx context.Context, d DeadLetter)
	// Logger receives the library's log lines. Default: slog.Default().
	Logger *slog.Logger
	// TracerProvider makes the library's spans, MeterProvider its instruments. Defaults: OpenTelemetry's global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	// Now, NewID and Jitter are the clock, the source of ids and that of randomness in [0, 1); replaceable for
	// tests and simulation. Defaults: time.Now, UUIDv7, math/rand.
	Now    func() time.Time
	NewID  func() string
	Jitter func() float64
}

func (c Config) withDefaults() Config {
	or(&c.Instance, uuid.NewString())
	or(&c.Source, "/quadrille/"+c.Service)
	if c.RetryDelays == nil {
		c.RetryDelays = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	or(&c.Workers, 8)
	or(&c.HandlerTimeout, 30*time.Second)
	or(&c.PauseLimit, 10*time.Minute)
	or(&c.ShutdownTimeout, 20*time.Second)
	or(&c.PollInterval, 250*time.Millisecond)
	or(&c.BatchSize, 200)
	or(&c.PublishTimeout, 15*time.Second)
	or(&c.LeaseTTL, 5*time.Second)
	or(&c.MaxPublishAttempts, 10)
	or(&c.InboxRetention, 30*24*time.Hour)
	or(&c.ReplayWindow, 21*24*time.Hour)
	or(&c.CleanupInterval, time.Minute)
	or(&c.Logger, slog.Default())
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

// or gives *field the default if it is zero.
func or[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// check reports every mistake of a configuration and its subscriptions at once. It returns the subscriptions with the
// publishers of their events.
func check(c Config, subscriptions []Subscription) ([]Subscription, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !namePattern.MatchString(c.Service) {
		bad("Service %q is not a lower-case name", c.Service)
	}
	var ladder time.Duration
	for i, d := range c.RetryDelays {
		ladder += d
		if d < time.Millisecond {
			bad("RetryDelays[%d] is %v: a retry delay is at least a millisecond", i, d)
		}
		if i > 0 && d < c.RetryDelays[i-1] {
			bad("RetryDelays[%d] is %v: shorter than the delay before it", i, d)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"HandlerTimeout", c.HandlerTimeout},
		{"PauseLimit", c.PauseLimit},
		{"ShutdownTimeout", c.ShutdownTimeout},
		{"PollInterval", c.PollInterval},
		{"PublishTimeout", c.PublishTimeout},
		{"LeaseTTL", c.LeaseTTL},
		{"CleanupInterval", c.CleanupInterval},
		{"InboxRetention", c.InboxRetention},
		{"ReplayWindow", c.ReplayWindow},
	} {
		if f.value < 0 {
			bad("%s is negative: %v", f.name, f.value)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"Workers", c.Workers}, {"BatchSize", c.BatchSize}, {"MaxPublishAttempts", c.MaxPublishAttempts}} {
		if f.value < 0 {
			bad("%s is negative: %d", f.name, f.value)
		}
	}
	if c.InboxRetention <= c.ReplayWindow+ladder {
		bad("InboxRetention (%v) does not exceed ReplayWindow (%v) plus the retry delays (%v): a replayed event could be applied twice",
			c.InboxRetention, c.ReplayWindow, ladder)
	}

	declared, err := newRegistry(c.Events)
	if err != nil {
		errs = append(errs, err)
	}
	subscriptions = slices.Clone(subscriptions)
	handlers, versions := map[string]bool{}, map[string]string{}
	for i, s := range subscriptions {
		if s.problem == nil {
			var d Declaration
			if d, s.problem = declared.find(s.eventType); s.problem == nil {
				s.publisher = d.Publisher
				subscriptions[i] = s
			}
		}
		if s.problem != nil {
			bad("handler %q: %w", s.handler, s.problem)
		}
		if s.prepare != nil && s.problem == nil {
			name := s.publisher + " " + transport.EventName(s.eventType)
			if other, ok := versions[name]; ok && other != s.eventType {
				bad("handler %q: %s beside %s: a queue gets every version, so each would dead-letter the other's",
					s.handler, s.eventType, other)
			}
			versions[name] = s.eventType
		}
		if !namePattern.MatchString(s.handler) {
			bad("handler %q of %s is not a lower-case name with dashes", s.handler, s.eventType)
		}
		if handlers[s.handler] {
			bad("handler %q is bound twice: each needs a queue of its own", s.handler)
		}
		handlers[s.handler] = true
		if s.prepare == nil {
			bad("handler %q: make subscriptions with Handle or HandleExternal", s.handler)
		}
		if s.workers < 0 || s.timeout < 0 {
			bad("handler %q: Workers and Timeout may not be negative", s.handler)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("events: configuration of service %q: %w", c.Service, errors.Join(errs...))
	}
	return subscriptions, nil
}
