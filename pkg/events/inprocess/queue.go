package inprocess

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// idle is how often a queue is looked at that nobody has announced anything for: somebody may have changed its rows
// with a statement of their own.
const idle = time.Second

var errGone = errors.New("inprocess: the consumer has left")

// queue is the stored inbox of one reaction. It knows which rows are being handled, and by whom.
type queue struct {
	hub      *Hub
	member   *member
	reaction string
	sources  map[string][]binding // by publisher; guarded by the hub

	mu    sync.Mutex // guards what follows
	taken map[int64]*attached
	desks map[*attached]bool
}

func newQueue(h *Hub, m *member, reaction string) *queue {
	return &queue{
		hub: h, member: m, reaction: reaction, sources: map[string][]binding{},
		taken: map[int64]*attached{}, desks: map[*attached]bool{},
	}
}

// attached is a consumer at its queue. It implements desk.
type attached struct {
	*queue
	news chan struct{} // there may be something to take
	gone chan struct{}
	once sync.Once
}

func (q *queue) attach() *attached {
	a := &attached{queue: q, news: make(chan struct{}, 1), gone: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.desks[a] = true
	return a
}

// notify tells all consumers that there may be something to take. It never blocks.
func (q *queue) notify() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for a := range q.desks {
		select {
		case a.news <- struct{}{}:
		default:
		}
	}
}

func (a *attached) take(ctx context.Context, limit int) ([]storedEvent, error) {
	for {
		list, due, err := a.look(ctx, limit)
		if err != nil || len(list) > 0 {
			return list, err
		}
		wait := idle
		if !due.IsZero() {
			// Rounded up: a timer that is early would look in vain.
			wait = min(wait, max(0, due.Sub(a.hub.cfg.Now()))+time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.news:
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

// look takes what there is, under the queue's lock, so that nobody else takes it too.
func (a *attached) look(ctx context.Context, limit int) ([]storedEvent, time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.desks[a] {
		return nil, time.Time{}, errGone
	}
	taken := make([]int64, 0, len(a.taken))
	for id := range a.taken {
		taken = append(taken, id)
	}
	list, due, err := a.hub.mailbox(a.member).next(ctx, a.reaction, taken, limit, a.hub.cfg.Now())
	if err != nil {
		return nil, due, err
	}
	for _, e := range list {
		a.taken[e.ID] = a
	}
	return list, due, nil
}

func (a *attached) settle(ctx context.Context, e storedEvent, v events.Verdict) error {
	a.mu.Lock()
	mine := a.taken[e.ID] == a
	a.mu.Unlock()
	if !mine {
		return errGone // and the event has been given to somebody else
	}
	if err := a.hub.mailbox(a.member).settle(ctx, e, v, a.hub.cfg.Now()); err != nil {
		return err
	}
	a.mu.Lock()
	if a.taken[e.ID] == a {
		delete(a.taken, e.ID)
	}
	a.mu.Unlock()
	a.notify() // the next of its subject
	return nil
}

func (a *attached) leave() {
	a.once.Do(func() {
		close(a.gone)
		a.mu.Lock()
		delete(a.desks, a)
		for id, by := range a.taken {
			if by == a {
				delete(a.taken, id)
			}
		}
		a.mu.Unlock()
		a.notify()
	})
}
