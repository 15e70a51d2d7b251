package events

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var (
	// errFenced means that another instance's relay has taken over.
	errFenced = errors.New("events: the outbox lease was lost")
	// errTooLate means that a batch was still on its way when the lease it set out with may have ended.
	errTooLate = errors.New("events: the outbox lease ran out under a slow batch")
)

// maxFlights is how many batches may be on their way to the broker: one is being confirmed while the next is sent.
const maxBatches = 2

// relay moves rows from the outbox to the broker. One instance's relay sends at a time: the one that holds the
// lease. A row is done only when the broker has confirmed it and has not returned it.
type relay struct {
	cfg       Config
	outbox    outbox
	transport transport.Transport
	log       *slog.Logger
	metrics   *metrics
	tracing   tracing

	wakeups   chan struct{} // something was committed
	completed chan *batch   // a batch has its outcome

	// The rest belongs to the loop.
	generation  int64 // of the lease; 0 while another instance has it
	leaseUntil  time.Time
	renewAt     time.Time
	promoteAt   time.Time
	batches     []*batch
	brokerDelay backoff
	brokerAt    time.Time // nothing is sent before this

	databaseAway, brokerAway logThrottle

	brokerErr atomic.Pointer[error] // why the last batch did not reach the broker, for Ready
}

func newRelay(cfg Config, o outbox, t transport.Transport, m *metrics, tr tracing) *relay {
	return &relay{
		cfg: cfg, outbox: o, transport: t, metrics: m, tracing: tr, log: cfg.Logger.With("component", "relay"),
		wakeups: make(chan struct{}, 1), completed: make(chan *batch, maxBatches),
		brokerDelay: backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: cfg.Jitter},
	}
}

// wake tells the relay that there is something to do. It never blocks.
func (r *relay) wake() {
	select {
	case r.wakeups <- struct{}{}:
	default:
	}
}

// run relays until ctx ends, then sends what is still due, for as long as work lasts.
func (r *relay) run(ctx, work context.Context) {
	failures := backoff{first: 100 * time.Millisecond, most: 5 * time.Second, jitter: r.cfg.Jitter}
	for {
		// Looked at before the step: what was committed before the stop is seen by the step after it.
		stopping := ctx.Err() != nil
		wait, err := r.step(work)
		switch {
		case err != nil && work.Err() == nil:
			wait = failures.next()
			if r.databaseAway.allow(r.cfg.Now()) {
				r.log.WarnContext(work, "relay", "error", err, "again_in", wait)
			}
		case err == nil:
			failures.reset()
			r.databaseAway.reset()
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
		case f := <-r.completed:
			r.complete(f)
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
		if err := r.outbox.release(release, r.generation); err != nil {
			r.log.WarnContext(ctx, "lease not released", "error", err)
		}
	}
}

// step does what can be done now and answers how long to wait for the next one; 0: there is more to do.
func (r *relay) step(ctx context.Context) (wait time.Duration, err error) {
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
	if !now.Before(r.promoteAt) {
		if err := r.outbox.promote(ctx, now); err != nil {
			return 0, err
		}
		r.promoteAt = now.Add(r.cfg.PollInterval)
	}
	// However rarely it polls, the lease must not lapse meanwhile.
	idle := max(time.Millisecond, min(r.cfg.PollInterval, r.renewAt.Sub(now)))
	if len(r.batches) == maxBatches {
		return idle, nil
	}
	if d := r.brokerAt.Sub(now); d > 0 {
		return min(d, idle), nil
	}
	rows, err := r.outbox.due(ctx, now, r.inFlight(), r.cfg.BatchSize)
	if err != nil {
		return 0, err
	}
	if len(rows) > 0 { // reading may have taken long: set out with a fresh lease
		if err := r.keepLease(ctx, r.cfg.Now()); err != nil {
			return 0, err
		}
		if r.generation == 0 {
			return r.cfg.LeaseTTL / 4, nil
		}
	}
	f := r.newBatch(rows)
	if f == nil {
		return idle, nil
	}
	r.batches = append(r.batches, f)
	go func() {
		f.send(ctx, r)
		r.completed <- f
	}()
	return 0, nil
}

// keepLease takes the lease, or prolongs it in good time.
func (r *relay) keepLease(ctx context.Context, now time.Time) error {
	if now.Before(r.renewAt) {
		return nil
	}
	if r.generation != 0 {
		ok, err := r.outbox.renew(ctx, r.generation, r.cfg.LeaseTTL)
		if err != nil {
			return err
		}
		if !ok {
			r.log.WarnContext(ctx, "another instance has taken the outbox over")
			r.generation = 0
			r.brokerErr.Store(nil) // its to report now
			r.renewAt = now.Add(r.cfg.LeaseTTL / 4)
			return nil
		}
	} else {
		generation, ok, err := r.outbox.acquire(ctx, r.cfg.LeaseTTL)
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

// inFlight lists the ids that are on their way; it is never nil, which SQL would take for unknown.
func (r *relay) inFlight() []int64 {
	ids := []int64{}
	for _, f := range r.batches {
		ids = append(ids, f.ids...)
	}
	return ids
}

// load makes a flight of the rows whose subject is not on its way already; nil if none is left.
func (r *relay) newBatch(rows []row) *batch {
	f := &batch{generation: r.generation, leaseUntil: r.leaseUntil, subjects: map[string]int{}}
	for _, row := range rows {
		if r.sending(row.subject) {
			continue
		}
		wave := f.subjects[row.subject]
		f.subjects[row.subject]++
		if wave == len(f.rounds) {
			f.rounds = append(f.rounds, nil)
		}
		f.rounds[wave] = append(f.rounds[wave], row)
		f.ids = append(f.ids, row.id)
	}
	if len(f.ids) == 0 {
		return nil
	}
	return f
}

func (r *relay) sending(subject string) bool {
	for _, f := range r.batches {
		if _, ok := f.subjects[subject]; ok {
			return true
		}
	}
	return false
}

// land takes a flight off the list and draws the conclusions for the next.
func (r *relay) complete(f *batch) {
	for i := range r.batches {
		if r.batches[i] == f {
			r.batches = append(r.batches[:i], r.batches[i+1:]...)
			break
		}
	}
	switch {
	case errors.Is(f.err, errFenced):
		if f.generation == r.generation { // and has not been taken back since
			r.generation, r.renewAt = 0, time.Time{}
			r.brokerErr.Store(nil)
		}
	case f.brokerErr != nil:
		r.brokerAt = r.cfg.Now().Add(r.brokerDelay.next())
		r.brokerErr.Store(&f.brokerErr)
		if r.brokerAway.allow(r.cfg.Now()) {
			r.log.Warn("broker not reached, events wait", "error", f.brokerErr, "rows", len(f.ids))
		}
	case f.err != nil && !errors.Is(f.err, errTooLate):
		// What could not be written down will be sent again; not in a tight loop.
		r.brokerAt = r.cfg.Now().Add(r.brokerDelay.next())
	default:
		r.brokerDelay.reset()
		r.brokerErr.Store(nil)
		r.brokerAway.reset()
	}
	if f.err != nil {
		r.log.Warn("outcome not written, events will be sent again", "error", f.err)
	}
}

// flight is a batch on its way. Rows of one subject are in successive waves, so that a later one is sent only when
// the earlier one is with the broker.
type batch struct {
	generation int64
	leaseUntil time.Time
	subjects   map[string]int // to the number of rows
	rounds     [][]row
	ids        []int64

	blocks    []block // what the broker did not take
	err       error   // of the database
	brokerErr error   // the broker did not answer for some rows
}

func (f *batch) send(ctx context.Context, r *relay) {
	var (
		done    []int64
		stopped = map[string]bool{} // subjects that may not go on in this flight
	)
	for _, wave := range f.rounds {
		var (
			rows     []row
			messages []transport.Message
		)
		for _, row := range wave {
			if stopped[row.subject] {
				continue
			}
			m, err := row.message(r.cfg.Service)
			if err != nil {
				stopped[row.subject] = true
				f.reject(ctx, r, row, errors.Join(transport.ErrRejected, err))
				continue
			}
			rows, messages = append(rows, row), append(messages, m)
		}
		if len(rows) == 0 || f.brokerErr != nil {
			break
		}
		if r.cfg.Now().After(f.leaseUntil) {
			f.err = errTooLate
			break
		}
		for i, outcome := range r.publish(ctx, rows, messages) {
			row := rows[i]
			if outcome == nil {
				done = append(done, row.id)
				continue
			}
			stopped[row.subject] = true
			f.reject(ctx, r, row, outcome)
		}
	}
	if len(f.blocks) > 0 {
		f.err = errors.Join(f.err, r.outbox.block(ctx, f.generation, f.blocks, r.cfg.Now()))
	}
	if len(done) == 0 {
		return
	}
	if err := r.outbox.done(ctx, f.generation, done, r.cfg.Now()); err != nil {
		f.err = errors.Join(f.err, err)
	}
}

// publish hands rows to the broker and answers what became of each.
func (r *relay) publish(ctx context.Context, rows []row, messages []transport.Message) (outcomes []error) {
	spans := make([]trace.Span, len(rows))
	for i, m := range messages {
		spans[i] = r.tracing.publish(ctx, m.Metadata, isScheduled(rows[i].createdAt, m.Time))
	}
	timed, cancel := context.WithTimeout(ctx, r.cfg.PublishTimeout)
	defer cancel()
	outcomes = r.transport.Publish(timed, messages)
	now := r.cfg.Now()
	for i, outcome := range outcomes {
		endSpan(spans[i], sendError(outcome), outcome)
		r.metrics.published(ctx, messages[i].Type, outcome, now.Sub(rows[i].createdAt))
	}
	return outcomes
}

// settle decides what becomes of a row that the broker did not take.
func (f *batch) reject(ctx context.Context, r *relay, row row, outcome error) {
	now := r.cfg.Now()
	h := block{id: row.id, cause: outcome, rejected: errors.Is(outcome, transport.ErrRejected)}
	switch {
	case errors.Is(outcome, transport.ErrUnroutable):
		// Patience grows with age, so that a missing queue costs little and one that appears is found soon.
		h.until = now.Add(min(max(now.Sub(row.createdAt)/2, 500*time.Millisecond), 15*time.Second))
	case h.rejected && row.rejections+1 >= r.cfg.MaxPublishAttempts:
		h.parked = true
		r.metrics.parked(ctx)
		r.log.ErrorContext(ctx, "event parked: the broker refuses it", "row", row.id, "subject", row.subject, "error", outcome)
	case h.rejected:
		delay := backoff{first: 200 * time.Millisecond, most: time.Minute, jitter: r.cfg.Jitter, n: row.rejections}
		h.until = now.Add(delay.next())
	default:
		f.brokerErr = outcome
		return
	}
	f.blocks = append(f.blocks, h)
}
