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

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// lagLimit is the age of the oldest row that nothing holds back, from which on Ready complains.
const lagLimit = time.Minute

// Bus serves one service: it relays the outbox to the broker, runs the subscriptions, and cleans up. Make it with
// New. Its methods are safe for concurrent use.
type Bus struct {
	db            *gorm.DB
	sqlDB         *sql.DB
	sql           *dialect
	writeLock     writeLock
	transport     transport.Transport
	cfg           Config
	subscriptions []Subscription
	topology      transport.Topology
	relay         *relay
	metrics       *metrics
	tracing       tracing

	started   atomic.Bool
	consuming atomic.Bool
}

// New makes the bus of one service. It checks everything and reports every mistake at once, and registers a GORM
// plugin on db: from then on transactions of db can be published in, and wake the relay when they commit. A handle
// serves one bus. New neither connects nor starts anything; db and transport remain the caller's to close, after
// Run has returned.
func New(db *gorm.DB, transport transport.Transport, cfg Config, subscriptions ...Subscription) (*Bus, error) {
	cfg = cfg.withDefaults()
	var errs []error
	var d *dialect
	if db == nil {
		errs = append(errs, errors.New("events: db is nil"))
	} else {
		var err error
		if d, err = newDialect(db); err != nil {
			errs = append(errs, fmt.Errorf("events: %w", err))
		}
	}
	if transport == nil {
		errs = append(errs, errors.New("events: transport is nil"))
	}
	subscriptions, err := check(cfg, subscriptions)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	declared, _ := newRegistry(cfg.Events) // checked above
	sqlDB, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	b := &Bus{db: db, sqlDB: sqlDB, sql: d, writeLock: newWriteLock(d), transport: transport, cfg: cfg, topology: newTopology(cfg, subscriptions)}
	for _, s := range subscriptions {
		or(&s.workers, cfg.Workers)
		or(&s.timeout, cfg.HandlerTimeout)
		b.subscriptions = append(b.subscriptions, s)
	}
	o := outbox{db: sqlDB, sql: d, writeLock: b.writeLock, holder: cfg.Instance, audit: cfg.Audit, limit: max(cfg.LeaseTTL, 5*time.Second)}
	if b.metrics, err = newMetrics(cfg, o, transport); err != nil {
		return nil, fmt.Errorf("events: metrics: %w", err)
	}
	b.tracing = newTracing(cfg, transport)
	b.relay = newRelay(cfg, o, transport, b.metrics, b.tracing)
	if err := db.Use(&plugin{cfg: cfg, events: declared, sql: d, writeLock: b.writeLock, tracing: b.tracing, wake: b.relay.wake}); err != nil {
		return nil, fmt.Errorf("events: this database handle has a bus already: %w", err)
	}
	return b, nil
}

// Run relays, consumes and cleans up until ctx ends, whatever becomes of the database and the broker meanwhile:
// it waits for them, at the start too. It then shuts down in two phases. First it stops fetching; what is in
// flight goes on under a context of its own. When that is finished it sends what the outbox still holds, gives the
// lease back and returns. What is not finished after Config.ShutdownTimeout is cut short, and a reaction that does
// not even heed its context is left behind; nothing is lost by that, it will be delivered again. Run returns nil
// after a clean stop, and an error if something was cut short or the transport gave up. It can be called once.
func (b *Bus) Run(ctx context.Context) error {
	if !b.started.CompareAndSwap(false, true) {
		return errors.New("events: Run was called before")
	}
	defer b.metrics.close()
	b.metrics.begin(ctx, b.topology.Queues)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	relaying, stopRelay := context.WithCancel(work)
	defer stopRelay()

	var background sync.WaitGroup
	background.Go(func() { b.relay.run(relaying, work) })
	background.Go(func() { cleaner{b.cfg, b.sqlDB, b.sql, b.writeLock}.run(ctx) })

	deadline := context.AfterFunc(ctx, func() {
		if sleep(work, b.cfg.ShutdownTimeout) == nil {
			b.cfg.Logger.Warn("shutdown time-out: cutting short what is in flight")
			cut()
		}
	})
	defer deadline()

	consumed := make(chan error, 1)
	go func() { consumed <- b.consume(ctx, work) }()
	var err error
	select {
	case err = <-consumed:
	case <-work.Done():
		select {
		case err = <-consumed:
		case <-time.After(commitGrace):
			err = errors.New("events: a reaction does not heed its context")
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

// consume waits for the topology, then serves all subscriptions until ctx ends and what is in flight is settled.
func (b *Bus) consume(ctx, work context.Context) error {
	if len(b.subscriptions) == 0 {
		b.consuming.Store(true)
		return nil
	}
	if !b.awaitTopology(ctx) {
		return nil
	}
	var consumers []transport.Consumer
	for i, s := range b.subscriptions {
		c := &consumption{Subscription: s, bus: b, queue: b.topology.Queues[i], stopping: ctx, work: work}
		consumers = append(consumers, transport.Consumer{Queue: c.queue, Workers: s.workers, Handle: c.handle, Ready: b.awaitDatabase})
	}
	b.consuming.Store(true)
	defer b.consuming.Store(false)
	if err := b.transport.Consume(ctx, consumers); err != nil && ctx.Err() == nil {
		return fmt.Errorf("events: consume: %w", err)
	}
	return nil
}

// awaitTopology blocks until the broker has everything that the service needs, saying what is missing; false if
// ctx ended first.
func (b *Bus) awaitTopology(ctx context.Context) bool {
	delay := backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: b.cfg.Jitter}
	var waiting logThrottle
	for {
		err := b.transport.Check(ctx, b.topology)
		if err == nil {
			return true
		}
		if ctx.Err() == nil && waiting.allow(b.cfg.Now()) {
			b.cfg.Logger.WarnContext(ctx, "not consuming yet", "error", err)
		}
		if sleep(ctx, delay.next()) != nil {
			return false
		}
	}
}

// awaitDatabase blocks until the database answers.
func (b *Bus) awaitDatabase(ctx context.Context) error {
	delay := backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: b.cfg.Jitter}
	var waiting logThrottle
	for {
		err := ping(ctx, b.sqlDB)
		if err == nil {
			return nil
		}
		if waiting.allow(b.cfg.Now()) {
			b.cfg.Logger.WarnContext(ctx, "database away, not fetching", "error", err)
		}
		if err := sleep(ctx, delay.next()); err != nil {
			return err
		}
	}
}

// Ready reports why the bus cannot do its work at the moment, or nil: the database does not answer, the topology
// was incomplete at the start and still is, the broker cannot be reached, or the relay lags by more than a minute.
// Events that wait for a queue or a person don't count: they are the metric's business. It blocks for as long as
// the database and the broker take to answer; bound it with ctx.
func (b *Bus) Ready(ctx context.Context) error {
	s, err := b.relay.outbox.stats(ctx, b.cfg.Now())
	if err != nil {
		return err
	}
	if !b.consuming.Load() {
		return errors.New("events: not consuming yet: the broker is away or its topology incomplete")
	}
	if err := b.relay.brokerErr.Load(); err != nil {
		return fmt.Errorf("events: broker: %w", *err)
	}
	if s.lag > lagLimit {
		return fmt.Errorf("events: the relay lags by %v, with %d rows waiting", s.lag.Round(time.Second), s.waiting)
	}
	return b.transport.Check(ctx, transport.Topology{Service: b.cfg.Service})
}
