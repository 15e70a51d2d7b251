package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/inbox"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/outbox"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/relay"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/writelock"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// maxLag is the age of the oldest row that is not blocked above which Ready returns an error.
const maxLag = time.Minute

// Bus publishes the outbox of one service, runs its subscriptions and purges its inbox. Make one with New. Its methods
// are safe for concurrent use.
type Bus struct {
	db            *gorm.DB
	sqlDB         *sql.DB
	dialect       *dialect.Dialect
	writeLock     writelock.Lock
	transport     transport.Transport
	cfg           Config
	subscriptions []Subscription
	topology      transport.Topology
	monitor       *outbox.Monitor
	relay         *relay.Relay
	metrics       *telemetry.Metrics
	tracing       telemetry.Tracing

	started   atomic.Bool
	consuming atomic.Bool
	notReady  atomic.Pointer[error] // why the bus is not consuming yet
	brokerErr atomic.Pointer[error] // the result of the last check of the broker
}

// New makes the bus of one service. It checks everything and reports every mistake at once. It registers a GORM plugin on
// db: from then on Publish works in transactions of db, and their commits wake the relay. A handle has one bus at most.
// New neither connects nor starts anything. The caller closes db and transport after Run has returned.
func New(db *gorm.DB, transport transport.Transport, cfg Config, subscriptions ...Subscription) (*Bus, error) {
	cfg = cfg.withDefaults()
	var errs []error
	var d *dialect.Dialect
	if db == nil {
		errs = append(errs, errors.New("events: db is nil"))
	} else {
		var err error
		if d, err = dialect.Find(db.Name()); err != nil {
			errs = append(errs, fmt.Errorf("events: %w", err))
		}
	}
	if transport == nil {
		errs = append(errs, errors.New("events: transport is nil"))
	} else if cfg.DeclareTopology && declarer(transport) == nil {
		errs = append(errs, fmt.Errorf("events: Config.DeclareTopology: %T cannot declare a topology", transport))
	}
	subscriptions, err := validate(cfg, subscriptions)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	declared, _ := newRegistry(cfg.Events) // checked above
	sqlDB, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	b := &Bus{db: db, sqlDB: sqlDB, dialect: d, transport: transport, cfg: cfg, topology: newTopology(cfg, subscriptions)}
	if d.SingleWriter {
		b.writeLock = writelock.New()
	}
	for _, s := range subscriptions {
		setDefault(&s.workers, cfg.Handlers.Workers)
		setDefault(&s.timeout, cfg.Handlers.Timeout)
		b.subscriptions = append(b.subscriptions, s)
	}
	table := outbox.Outbox{
		DB: sqlDB, Dialect: d, WriteLock: b.writeLock, Holder: cfg.Instance, Audit: cfg.Audit, Timeout: max(cfg.Relay.LeaseTTL, 5*time.Second),
	}
	b.monitor = &outbox.Monitor{Outbox: table, Interval: cfg.Relay.PollInterval, Now: cfg.Now}
	if b.metrics, err = telemetry.NewMetrics(cfg.MeterProvider, cfg.Service, transport, b.monitor.Last); err != nil {
		return nil, fmt.Errorf("events: metrics: %w", err)
	}
	b.tracing = telemetry.NewTracing(cfg.TracerProvider, cfg.Service, transport)
	b.relay = relay.New(relay.Config{
		Service: cfg.Service, PollInterval: cfg.Relay.PollInterval, BatchSize: cfg.Relay.BatchSize, PublishTimeout: cfg.Relay.PublishTimeout,
		LeaseTTL: cfg.Relay.LeaseTTL, MaxPublishAttempts: cfg.Relay.MaxPublishAttempts, Now: cfg.Now, Jitter: cfg.Jitter, Logger: cfg.Logger,
	}, table, transport, b.metrics, b.tracing)
	if err := db.Use(&plugin{cfg: cfg, events: declared, dialect: d, writeLock: b.writeLock, tracing: b.tracing, wake: b.relay.Wake}); err != nil {
		return nil, fmt.Errorf("events: this database handle has a bus already: %w", err)
	}
	return b, nil
}

func declarer(t transport.Transport) transport.Declarer {
	d, _ := t.(transport.Declarer)
	return d
}

// Run publishes, consumes and purges until ctx ends. It retries until the database and the broker are available, at the
// start too. It then shuts down in two phases: it stops fetching while running handlers continue, and when they have
// finished it publishes what the outbox still holds, releases the lease and returns. After Config.ShutdownTimeout it
// cancels what is still running, and does not wait for a handler that ignores its context; the events are delivered
// again. Run returns nil after a clean shutdown, and an error if something was cancelled or the transport failed. It can
// be called once.
func (b *Bus) Run(ctx context.Context) error {
	if !b.started.CompareAndSwap(false, true) {
		return errors.New("events: Run was called before")
	}
	defer b.metrics.Close()
	b.metrics.Start(ctx, b.topology.Queues)
	if b.cfg.AutoMigrate {
		if b.retry(ctx, "cannot migrate the database", func(ctx context.Context) error { return Migrate(ctx, b.db) }) != nil {
			return nil
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	relaying, stopRelay := context.WithCancel(work)
	defer stopRelay()

	var background sync.WaitGroup
	declared := make(chan struct{})
	background.Go(func() {
		select { // until it is declared, the broker would reject what the outbox holds
		case <-declared:
		case <-relaying.Done():
		}
		select {
		case <-declared: // even if the bus stops already
			b.relay.Run(relaying, work)
		default:
		}
	})
	background.Go(func() { b.monitor.Run(ctx) })
	background.Go(func() {
		inbox.Purger{
			DB: b.sqlDB, Dialect: b.dialect, WriteLock: b.writeLock, Retention: b.cfg.Inbox.Retention, Interval: b.cfg.Inbox.CleanupInterval,
			Now: b.cfg.Now, Logger: b.cfg.Logger,
		}.Run(ctx)
	})

	deadline := context.AfterFunc(ctx, func() {
		if retry.Sleep(work, b.cfg.ShutdownTimeout) == nil {
			b.cfg.Logger.Warn("shutdown timeout: cancelling running handlers")
			cancelWork()
		}
	})
	defer deadline()

	consumed := make(chan error, 1)
	go func() {
		if b.declare(ctx) != nil {
			consumed <- nil
			return
		}
		close(declared)
		consumed <- b.consume(ctx, work)
	}()
	var err error
	select {
	case err = <-consumed:
	case <-work.Done():
		select {
		case err = <-consumed:
		case <-time.After(commitGrace):
			err = errors.New("events: a handler ignores its context")
		}
	}
	if err != nil {
		stop()
	}
	<-ctx.Done()
	stopRelay()
	background.Wait()
	if work.Err() != nil {
		err = errors.Join(err, fmt.Errorf("events: shutdown took longer than %v", b.cfg.ShutdownTimeout))
	}
	return err
}

// declare declares the topology, if the configuration says so, and retries until that succeeds. A topology that the broker
// has already is enough, even if the broker does not permit its declaration. The error is that of ctx.
func (b *Bus) declare(ctx context.Context) error {
	if !b.cfg.DeclareTopology {
		return nil
	}
	return b.retry(ctx, "not consuming yet", func(ctx context.Context) error {
		err := declarer(b.transport).Declare(ctx, b.topology)
		if err != nil && b.transport.Check(ctx, b.topology) == nil {
			b.cfg.Logger.WarnContext(ctx, "topology not declared, but complete", "error", err)
			return nil
		}
		return err
	})
}

// consume waits for the topology, then serves all subscriptions until ctx ends and running handlers have finished.
func (b *Bus) consume(ctx, work context.Context) error {
	if b.retry(ctx, "not consuming yet", func(ctx context.Context) error { return b.transport.Check(ctx, b.topology) }) != nil {
		return nil
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() { b.watchBroker(ctx) })

	var consumers []transport.Consumer
	for i, s := range b.subscriptions {
		r := &runner{
			Subscription: s, cfg: b.cfg, queue: b.topology.Queues[i], db: b.db, sqlDB: b.sqlDB, dialect: b.dialect,
			metrics: b.metrics, tracing: b.tracing, stopping: ctx, work: work,
		}
		consumers = append(consumers, transport.Consumer{Queue: r.queue, Workers: s.workers, Handle: r.handle, Ready: b.awaitDatabase})
	}
	b.consuming.Store(true)
	defer b.consuming.Store(false)
	if len(consumers) == 0 {
		<-ctx.Done()
		return nil
	}
	if err := b.transport.Consume(ctx, consumers); err != nil && ctx.Err() == nil {
		return fmt.Errorf("events: consume: %w", err)
	}
	return nil
}

// How often the bus checks the broker for Ready: the exchanges of the service at brokerCheckInterval, and all of the topology
// every topologyCheckEvery times and after a failure.
const (
	brokerCheckInterval = 2 * time.Second
	brokerCheckTimeout  = 2 * time.Second
	topologyCheckEvery  = 15
)

// watchBroker checks the broker until ctx ends, so that Ready need not ask it.
func (b *Bus) watchBroker(ctx context.Context) {
	failed := false
	for n := 1; retry.Sleep(ctx, brokerCheckInterval) == nil; n++ {
		topology := transport.Topology{Service: b.cfg.Service}
		if failed || n%topologyCheckEvery == 0 {
			topology = b.topology
		}
		if err := b.checkBroker(ctx, topology); ctx.Err() == nil {
			b.brokerErr.Store(&err)
			failed = err != nil
		}
	}
}

func (b *Bus) checkBroker(ctx context.Context, topology transport.Topology) error {
	ctx, cancel := context.WithTimeout(ctx, brokerCheckTimeout)
	defer cancel()
	return b.transport.Check(ctx, topology)
}

// awaitDatabase blocks until the database is available.
func (b *Bus) awaitDatabase(ctx context.Context) error {
	return b.retry(ctx, "database unavailable, not fetching", func(ctx context.Context) error { return dialect.Ping(ctx, b.sqlDB) })
}

// retry calls f until it returns nil and logs its errors as a warning. It returns the error of ctx if that ends first.
func (b *Bus) retry(ctx context.Context, warning string, f func(context.Context) error) error {
	delay := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: b.cfg.Jitter}
	var throttle logthrottle.Throttle
	for {
		err := f(ctx)
		if err == nil {
			b.notReady.Store(nil)
			return nil
		}
		if ctx.Err() == nil {
			b.notReady.Store(&err)
		}
		if _, ok := throttle.Allow(b.cfg.Now()); ok && ctx.Err() == nil {
			b.cfg.Logger.WarnContext(ctx, warning, "error", err)
		}
		if err := retry.Sleep(ctx, delay.Next()); err != nil {
			return err
		}
	}
}

// Ready returns nil if the bus can do its work, and otherwise why it cannot: the database is unavailable or lacks the
// library's tables, the topology is incomplete, the broker cannot be reached, or the relay lags by more than a minute.
// Events that wait for a queue or are parked do not count; the metric events.outbox.size shows them. Ready does not block:
// it returns what Run read last, from the outbox at each poll interval, from the broker every two seconds, and from all queues
// every half minute.
func (b *Bus) Ready(context.Context) error {
	s, err := b.monitor.Last()
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if !b.consuming.Load() {
		if err := b.notReady.Load(); err != nil {
			return fmt.Errorf("events: not consuming yet: %w", *err)
		}
		return errors.New("events: not consuming yet")
	}
	if err := b.relay.BrokerError(); err != nil {
		return fmt.Errorf("events: broker: %w", err)
	}
	if s.Lag > maxLag {
		return fmt.Errorf("events: the relay lags by %v, with %d rows waiting", s.Lag.Round(time.Second), s.Waiting)
	}
	if err := b.brokerErr.Load(); err != nil && *err != nil {
		return fmt.Errorf("events: broker: %w", *err)
	}
	return nil
}
