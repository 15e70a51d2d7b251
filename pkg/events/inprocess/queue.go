package inprocess

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

const (
	// scanInterval is the longest time between two scans of a queue's rows. Another program may have changed them.
	scanInterval = time.Second

	// maxChanged is how many subjects are read one by one. If there are more, a scan is faster.
	maxChanged = 8
)

var errDetached = errors.New("inprocess: the consumer is detached")

// queue holds the events for one handler. It knows which events are being handled by which consumer, one of a subject at
// a time.
type queue struct {
	handler  string
	store    func() store
	now      func() time.Time
	bindings map[string][]binding // by publisher; guarded by the broker

	mu        sync.Mutex // guards what follows
	consumers map[*consumer]bool
	ready     []storedEvent    // read, and not fetched by a consumer yet
	busy      map[string]claim // by subject, for events that are ready or being handled

	// scanned means that until nextScan, no event is due except those that are ready and perhaps some of the subjects in
	// changed. It avoids a scan of all events behind a busy subject for each fetch.
	scanned  bool
	nextScan time.Time
	changed  []string
}

// claim is the event of a subject that is ready or being handled.
type claim struct {
	id int64
	by *consumer // nil while it is ready
}

func newQueue(handler string, store func() store, now func() time.Time) *queue {
	return &queue{
		handler: handler, store: store, now: now, bindings: map[string][]binding{},
		consumers: map[*consumer]bool{}, busy: map[string]claim{},
	}
}

// consumer fetches from a queue. Its events are its own until it completes them or is detached.
type consumer struct {
	*queue
	wake     chan struct{} // an event may be due
	detached chan struct{}
	once     sync.Once
}

func (q *queue) attach() *consumer {
	c := &consumer{queue: q, wake: make(chan struct{}, 1), detached: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consumers[c] = true
	return c
}

// notify wakes all consumers because events of these subjects may be due. It blocks while one fetches.
func (q *queue) notify(subjects ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.scanned {
		q.changed = append(q.changed, subjects...)
		if len(q.changed) > maxChanged {
			q.invalidate()
		}
	}
	for c := range q.consumers {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// fetch blocks until at least one event is due, and returns up to limit.
func (c *consumer) fetch(ctx context.Context, limit int) ([]storedEvent, error) {
	for {
		list, wait, err := c.poll(ctx, limit)
		if err != nil || len(list) > 0 {
			return list, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.detached:
			err = errDetached
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// poll returns up to limit events that are due, and if there are none, how long to wait. It holds the queue's lock, so
// that no other consumer gets the same events.
func (c *consumer) poll(ctx context.Context, limit int) (list []storedEvent, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.consumers[c] {
		return nil, 0, errDetached
	}
	now := c.now()
	if !now.Before(c.nextScan) {
		c.invalidate()
	}
	if len(c.ready) < limit {
		if err := c.fill(ctx, limit, now); err != nil {
			return nil, 0, err
		}
	}
	n := min(limit, len(c.ready))
	list, c.ready = c.ready[:n:n], c.ready[n:]
	for _, e := range list {
		c.busy[e.Subject] = claim{e.ID, c}
	}
	if n > 0 {
		return list, 0, nil
	}
	// Rounded up: a timer that fires early would find nothing due.
	return nil, max(0, c.nextScan.Sub(now)) + time.Millisecond, nil
}

// fill reads until enough events are ready or no more are due. The caller holds the lock.
func (q *queue) fill(ctx context.Context, enough int, now time.Time) error {
	inbox := q.store()
	for len(q.ready) < enough {
		if q.scanned {
			return q.readChanged(ctx, inbox, now)
		}
		busy := make([]string, 0, len(q.busy))
		for subject := range q.busy {
			busy = append(busy, subject)
		}
		list, err := inbox.due(ctx, q.handler, busy, now)
		if err != nil {
			return err
		}
		for _, e := range list {
			q.addReady(e)
		}
		if len(list) < pageSize {
			retryAt, err := inbox.nextRetry(ctx, q.handler, now)
			if err != nil {
				return err
			}
			q.scanned, q.nextScan = true, now.Add(scanInterval)
			q.scanAt(retryAt)
		}
	}
	return nil
}

// scanAt schedules the next scan for a time, unless it is earlier. The caller holds the lock.
func (q *queue) scanAt(at time.Time) {
	if !at.IsZero() && at.Before(q.nextScan) {
		q.nextScan = at
	}
}

// readChanged reads the oldest event of each changed subject. The caller holds the lock.
func (q *queue) readChanged(ctx context.Context, inbox store, now time.Time) error {
	for len(q.changed) > 0 {
		if subject := q.changed[0]; q.busy[subject] == (claim{}) {
			list, err := inbox.oldest(ctx, q.handler, subject)
			if err != nil {
				return err
			}
			for _, e := range list {
				if e.Attempts == 0 || !e.DueAt.After(now) {
					q.addReady(e)
				}
			}
		}
		q.changed = q.changed[1:]
	}
	return nil
}

// addReady makes an event ready, unless its subject is busy. The caller holds the lock.
func (q *queue) addReady(e storedEvent) {
	if q.busy[e.Subject] == (claim{}) {
		q.busy[e.Subject] = claim{id: e.ID}
		q.ready = append(q.ready, e)
	}
}

// invalidate causes a scan before the next fetch. The caller holds the lock.
func (q *queue) invalidate() { q.scanned, q.changed = false, nil }

// complete carries out the outcome of an event. It returns errDetached if the event is no longer the consumer's.
func (c *consumer) complete(ctx context.Context, e storedEvent, outcome transport.Outcome) error {
	if !c.holds(e) {
		return errDetached // another consumer may have fetched it
	}
	now := c.now()
	if err := c.store().complete(ctx, e, outcome, now); err != nil {
		return err
	}
	if outcome.Action == transport.DeadLetter && outcome.Completed != nil {
		outcome.Completed()
	}
	c.mu.Lock()
	if outcome.Action == transport.Retry {
		c.scanAt(now.Add(outcome.Delay))
	}
	if c.busy[e.Subject] == (claim{e.ID, c}) {
		delete(c.busy, e.Subject)
	}
	c.mu.Unlock()
	c.notify(e.Subject) // its next event
	return nil
}

func (c *consumer) holds(e storedEvent) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[e.Subject] == claim{e.ID, c}
}

// detach requeues what is not completed. It may be called again. If no consumer is left, events that are ready are read
// again by the next one, because they may have changed.
func (c *consumer) detach() {
	c.once.Do(func() {
		close(c.detached)
		c.mu.Lock()
		delete(c.consumers, c)
		for subject, claimed := range c.busy {
			if claimed.by == c || claimed.by == nil && len(c.consumers) == 0 {
				delete(c.busy, subject)
			}
		}
		if len(c.consumers) == 0 {
			c.ready = nil
		}
		c.invalidate()
		c.mu.Unlock()
		c.notify()
	})
}
