// Package relay publishes the events of the outbox. One instance's relay is active at a time: the one that holds the
// lease. A row is complete only when the broker has confirmed it and not returned it.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/logthrottle"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/outbox"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// maxBatches is the number of batches in flight: one is sent while the one before it is being confirmed, beside a long one.
const maxBatches = 3

// Relay publishes the outbox of one service. Make one with New.
type Relay struct {
	cfg    Config
	outbox outbox.Outbox
	sender *sender
	log    *slog.Logger

	wakeups   chan struct{} // a transaction has committed
	completed chan *batch   // the outcome of a batch is stored

	// The goroutine of Run owns the rest.
	generation  int64 // of the lease; 0 while another instance holds it
	leaseUntil  time.Time
	renewAt     time.Time
	promoteAt   time.Time
	batches     []*batch // in flight
	lastHead    string   // the subject after which the relay looks for hidden rows
	brokerDelay retry.Backoff
	brokerAt    time.Time // no batch is sent before

	databaseLog, brokerLog, unroutableLog logthrottle.Throttle

	brokerErr atomic.Pointer[error] // why the last batch did not reach the broker
}

// New makes a relay. It starts nothing.
func New(cfg Config, o outbox.Outbox, t transport.Transport, m *telemetry.Metrics, tr telemetry.Tracing) *Relay {
	log := cfg.Logger.With("component", "relay")
	return &Relay{
		cfg: cfg, outbox: o, log: log,
		sender:  &sender{cfg: cfg, outbox: o, transport: t, log: log, metrics: m, tracing: tr},
		wakeups: make(chan struct{}, 1), completed: make(chan *batch, maxBatches),
		brokerDelay: retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: cfg.Jitter},
	}
}

// Wake makes the relay look at the outbox now. It never blocks.
func (r *Relay) Wake() {
	select {
	case r.wakeups <- struct{}{}:
	default:
	}
}

// BrokerError returns why the last batch did not reach the broker, or nil.
func (r *Relay) BrokerError() error {
	if err := r.brokerErr.Load(); err != nil {
		return *err
	}
	return nil
}

// Run publishes until ctx ends, then publishes what is still due until work ends, and releases the lease.
func (r *Relay) Run(ctx, work context.Context) {
	failures := retry.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second, Jitter: r.cfg.Jitter}
	for {
		// Read before the step, so that the step sees everything that was committed before the stop.
		stopping := ctx.Err() != nil
		wait, err := r.step(work)
		switch {
		case err != nil && work.Err() == nil:
			wait = failures.Next()
			if _, ok := r.databaseLog.Allow(r.cfg.Now()); ok {
				r.log.WarnContext(work, "cannot read or write the outbox", "error", err, "again_in", wait)
			}
		case err == nil:
			failures.Reset()
			r.databaseLog.Reset()
		}
		if stopping && (err != nil || wait > 0 && len(r.batches) == 0) || work.Err() != nil {
			break
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		var stop <-chan struct{}
		if !stopping {
			stop = ctx.Done()
		}
		select {
		case <-timer.C:
		case <-r.wakeups:
		case b := <-r.completed:
			r.complete(b)
		case <-stop:
		case <-work.Done():
		}
		timer.Stop()
	}
	for len(r.batches) > 0 {
		r.complete(<-r.completed)
	}
	if r.generation != 0 {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := r.outbox.ReleaseLease(release, r.generation); err != nil {
			r.log.WarnContext(ctx, "cannot release the outbox lease", "error", err)
		}
	}
}

// step does what can be done now and returns the time until the next step; 0 means that there is more to do.
func (r *Relay) step(ctx context.Context) (wait time.Duration, err error) {
	for len(r.completed) > 0 {
		r.complete(<-r.completed)
	}
	now := r.cfg.Now()
	if err := r.keepLease(ctx, now); err != nil {
		return 0, err
	}
	if r.generation == 0 {
		return r.cfg.LeaseTTL / 4, nil
	}
	// The lease is renewed in time even if the poll interval is longer than it.
	idle := max(time.Millisecond, min(r.cfg.PollInterval, r.renewAt.Sub(now)))
	if len(r.batches) == maxBatches {
		return idle, nil
	}
	if d := r.brokerAt.Sub(now); d > 0 {
		return min(d, idle), nil
	}
	// Half a batch of scheduled rows at a time: the other half is for those that were due before.
	if !now.Before(r.promoteAt) {
		more, err := r.outbox.Promote(ctx, now, max(1, r.cfg.BatchSize/2))
		if err != nil {
			r.log.WarnContext(ctx, "cannot make scheduled events due", "error", err)
		}
		if err != nil || !more {
			r.promoteAt = now.Add(r.cfg.PollInterval)
		}
	}
	rows, heads, err := r.due(ctx, now)
	if err != nil {
		return 0, err
	}
	if len(rows)+len(heads) > 0 { // the query may have taken long: renew the lease if it is time
		if err := r.keepLease(ctx, r.cfg.Now()); err != nil {
			return 0, err
		}
		if r.generation == 0 {
			return r.cfg.LeaseTTL / 4, nil
		}
	}
	b := newBatch(rows, heads, r.generation, r.leaseUntil, r.subjectInFlight, slices.ContainsFunc(r.batches, (*batch).long))
	if b == nil {
		if r.lastHead != "" { // not all subjects were examined; the database shall have time for other work
			return min(idle, 10*time.Millisecond), nil
		}
		return idle, nil
	}
	r.batches = append(r.batches, b)
	go func() {
		r.sender.send(ctx, b)
		r.completed <- b
	}()
	return 0, nil
}

// keepLease acquires the lease, or renews it when a third of its time has passed.
func (r *Relay) keepLease(ctx context.Context, now time.Time) error {
	if now.Before(r.renewAt) {
		return nil
	}
	if r.generation != 0 {
		ok, err := r.outbox.RenewLease(ctx, r.generation, r.cfg.LeaseTTL)
		if err != nil {
			return err
		}
		if !ok {
			r.log.WarnContext(ctx, "another instance has taken the outbox lease")
			r.generation = 0
			r.brokerErr.Store(nil) // the other instance reports it now
			r.renewAt = now.Add(r.cfg.LeaseTTL / 4)
			return nil
		}
	} else {
		generation, ok, err := r.outbox.AcquireLease(ctx, r.cfg.LeaseTTL)
		if err != nil {
			return err
		}
		if !ok {
			r.renewAt = now.Add(r.cfg.LeaseTTL / 4)
			return nil
		}
		r.generation = generation
	}
	// Counted from before the statement, less a margin for clocks that run at different speeds.
	r.leaseUntil = now.Add(r.cfg.LeaseTTL * 4 / 5)
	r.renewAt = now.Add(r.cfg.LeaseTTL / 3)
	return nil
}

// due reads what can be sent. If the oldest rows cannot be, because of their subjects, it goes on with the first row of
// some other subjects, and with those after them next time.
func (r *Relay) due(ctx context.Context, now time.Time) (rows, heads []outbox.Row, err error) {
	inFlight := r.inFlight()
	rows, hidden, err := r.outbox.Due(ctx, now, inFlight, r.cfg.BatchSize)
	if err != nil || !hidden {
		r.lastHead = ""
		return rows, nil, err
	}
	heads, r.lastHead, err = r.outbox.Heads(ctx, r.lastHead, inFlight, r.cfg.BatchSize)
	return rows, heads, err
}

// inFlight returns the rows in flight, and the subjects that have as many as a short batch takes.
func (r *Relay) inFlight() outbox.InFlight {
	f := outbox.InFlight{IDs: []int64{}, Subjects: []string{}}
	for _, b := range r.batches {
		f.IDs = append(f.IDs, b.ids...)
		for subject, n := range b.subjects {
			if n >= shortRounds {
				f.Subjects = append(f.Subjects, subject)
			}
		}
	}
	return f
}

func (r *Relay) subjectInFlight(subject string) bool {
	for _, b := range r.batches {
		if _, ok := b.subjects[subject]; ok {
			return true
		}
	}
	return false
}

// complete removes a batch from those in flight and derives when the next one may be sent.
func (r *Relay) complete(b *batch) {
	for i := range r.batches {
		if r.batches[i] == b {
			r.batches = append(r.batches[:i], r.batches[i+1:]...)
			break
		}
	}
	now := r.cfg.Now()
	switch {
	case errors.Is(b.err, outbox.ErrFenced):
		if b.generation == r.generation { // the lease was not acquired again since
			r.generation, r.renewAt = 0, time.Time{}
			r.brokerErr.Store(nil)
		}
	case b.brokerErr != nil:
		r.brokerAt = now.Add(r.brokerDelay.Next())
		r.brokerErr.Store(&b.brokerErr)
		if _, ok := r.brokerLog.Allow(now); ok {
			r.log.Warn("broker not reached, events wait in the outbox", "error", b.brokerErr, "rows", len(b.ids))
		}
	case b.err != nil && !errors.Is(b.err, errLeaseExpired):
		// Rows whose outcome could not be stored are published again, but not in a tight loop.
		r.brokerAt = now.Add(r.brokerDelay.Next())
	default:
		r.brokerDelay.Reset()
		r.brokerErr.Store(nil)
		r.brokerLog.Reset()
	}
	if b.err != nil {
		r.log.Warn("cannot store the outcome of a batch, its events will be published again", "error", b.err)
	}
	if b.unroutable != nil {
		if _, ok := r.unroutableLog.Allow(now); ok {
			r.log.Warn("an event waits in the outbox until its exchange exists and a queue is bound to it", "error", b.unroutable)
		}
	}
}
