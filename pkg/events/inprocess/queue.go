package inprocess

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// idle is how often a queue is looked at that nobody has announced anything for: somebody may have changed its rows
// with a statement of their own.
const idle = time.Second

var errGone = errors.New("inprocess: the consumer has left")

// queue is the stored inbox of one reaction. It knows what is being handled, and by whom: one event of a subject at a
// time.
type queue struct {
	broker  *Broker
	member  *member
	handler string
	sources map[string][]binding // by publisher; guarded by the hub

	mu        sync.Mutex // guards what follows
	consumers map[*attached]bool
	ready     []storedEvent    // read already, for whoever takes next
	busy      map[string]claim // by subject; those that are ready included
	// searched says that there is nothing to take before until that is not ready, except maybe of the subjects in news.
	// It saves looking through everything that waits behind a busy subject each time something is taken.
	searched bool
	until    time.Time
	news     []string
}

// claim is the event of a subject that is ready or being handled.
type claim struct {
	id int64
	by *attached // nil while it is ready
}

func newQueue(h *Broker, m *member, reaction string) *queue {
	return &queue{
		broker: h, member: m, handler: reaction, sources: map[string][]binding{},
		consumers: map[*attached]bool{}, busy: map[string]claim{},
	}
}

// attached is a consumer at its queue. It implements desk.
type attached struct {
	*queue
	wake chan struct{} // there may be something to take
	gone chan struct{}
	once sync.Once
}

func (q *queue) attach() *attached {
	a := &attached{queue: q, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consumers[a] = true
	return a
}

// newsLimit is how many subjects are looked up one by one. If there are more, a search finds them sooner.
const newsLimit = 8

// notify tells all consumers that there may be something to take of these subjects. It blocks while one takes.
func (q *queue) notify(subjects ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.searched {
		q.news = append(q.news, subjects...)
		if len(q.news) > newsLimit {
			q.searchAgain()
		}
	}
	for a := range q.consumers {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

func (a *attached) take(ctx context.Context, limit int) ([]storedEvent, error) {
	for {
		list, wait, err := a.look(ctx, limit)
		if err != nil || len(list) > 0 {
			return list, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.wake:
		case <-a.gone:
			err = errGone
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// look takes what there is, and answers how long to wait if that is nothing. It holds the queue's lock, so that nobody
// else takes the same.
func (a *attached) look(ctx context.Context, limit int) (list []storedEvent, wait time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.consumers[a] {
		return nil, 0, errGone
	}
	now := a.broker.cfg.Now()
	if !now.Before(a.until) {
		a.searchAgain()
	}
	if len(a.ready) < limit {
		if err := a.fill(ctx, limit, now); err != nil {
			return nil, 0, err
		}
	}
	n := min(limit, len(a.ready))
	list, a.ready = a.ready[:n:n], a.ready[n:]
	for _, e := range list {
		a.busy[e.Subject] = claim{e.ID, a}
	}
	if n > 0 {
		return list, 0, nil
	}
	// Rounded up: a timer that is early would look in vain.
	return nil, max(0, a.until.Sub(now)) + time.Millisecond, nil
}

// fill reads until enough is ready or there is no more. The caller holds the lock.
func (q *queue) fill(ctx context.Context, enough int, now time.Time) error {
	box := q.broker.store(q.member)
	for len(q.ready) < enough {
		if q.searched {
			return q.lookUp(ctx, box, now)
		}
		busy := make([]string, 0, len(q.busy))
		for subject := range q.busy {
			busy = append(busy, subject)
		}
		list, err := box.due(ctx, q.handler, busy, now)
		if err != nil {
			return err
		}
		for _, e := range list {
			q.prepare(e)
		}
		if len(list) < page {
			again, err := box.later(ctx, q.handler, now)
			if err != nil {
				return err
			}
			q.searched, q.until = true, now.Add(idle)
			q.searchBy(again)
		}
	}
	return nil
}

// searchBy has the table searched at a time, if not sooner. The caller holds the lock.
func (q *queue) searchBy(again time.Time) {
	if !again.IsZero() && again.Before(q.until) {
		q.until = again
	}
}

// lookUp sees what the subjects have that there is news of. The caller holds the lock.
func (q *queue) lookUp(ctx context.Context, box store, now time.Time) error {
	for len(q.news) > 0 {
		if subject := q.news[0]; q.busy[subject] == (claim{}) {
			list, err := box.head(ctx, q.handler, subject)
			if err != nil {
				return err
			}
			for _, e := range list {
				if e.Attempts == 0 || !e.DueAt.After(now) {
					q.prepare(e)
				}
			}
		}
		q.news = q.news[1:]
	}
	return nil
}

// prepare makes an event ready, unless one of its subject is busy. The caller holds the lock.
func (q *queue) prepare(e storedEvent) {
	if q.busy[e.Subject] == (claim{}) {
		q.busy[e.Subject] = claim{id: e.ID}
		q.ready = append(q.ready, e)
	}
}

// searchAgain forgets what is known about the table. The caller holds the lock.
func (q *queue) searchAgain() { q.searched, q.news = false, nil }

func (a *attached) settle(ctx context.Context, e storedEvent, v transport.Outcome) error {
	if !a.has(e) {
		return errGone // and somebody else may have it
	}
	now := a.broker.cfg.Now()
	if err := a.broker.store(a.member).settle(ctx, e, v, now); err != nil {
		return err
	}
	a.mu.Lock()
	if v.Action == transport.Retry {
		a.searchBy(now.Add(v.Delay))
	}
	if a.busy[e.Subject] == (claim{e.ID, a}) {
		delete(a.busy, e.Subject)
	}
	a.mu.Unlock()
	a.notify(e.Subject) // its next one
	return nil
}

func (a *attached) has(e storedEvent) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busy[e.Subject] == claim{e.ID, a}
}

// leave puts back what is not settled. What is ready is read again by the next to come, as it may have changed by then.
func (a *attached) leave() {
	a.once.Do(func() {
		close(a.gone)
		a.mu.Lock()
		delete(a.consumers, a)
		for subject, c := range a.busy {
			if c.by == a || c.by == nil && len(a.consumers) == 0 {
				delete(a.busy, subject)
			}
		}
		if len(a.consumers) == 0 {
			a.ready = nil
		}
		a.searchAgain()
		a.mu.Unlock()
		a.notify()
	})
}
