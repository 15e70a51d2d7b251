package demo

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

const (
	// orderPause is the time between two looks at the order, bookPause the least between two readings of the books,
	// which take longer the more the shop has done.
	orderPause = 15 * time.Millisecond
	bookPause  = 60 * time.Millisecond
)

// feed follows one order and fills a timeline with what becomes of it. Start it with run, once the order is placed.
type feed struct {
	client *client
	id     string
	rows   *timeline
	words  func(event string) string
	done   map[string]bool // rows that the timeline has, by where they come from
	now    func() time.Time

	mu     sync.Mutex
	last   stackclient.Order
	shown  time.Time                // everything until then
	audits map[string]bool          // services whose books list what they published
	ahead  map[string]time.Duration // how far a service's clock is ahead of ours, if that shows
}

func newFeed(c *client, rows *timeline, placed stackclient.Order, words func(string) string) *feed {
	return &feed{
		client: c, id: placed.ID, rows: rows, words: words, done: map[string]bool{}, now: time.Now,
		last: stackclient.Order{ID: placed.ID, Total: placed.Total}, audits: map[string]bool{},
		ahead: map[string]time.Duration{},
	}
}

// run blocks until ctx ends. It shows what is known by then.
func (f *feed) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		for f.readOrder(ctx); stackclient.Sleep(ctx, orderPause) == nil; {
			f.readOrder(ctx)
		}
	})
	both.Go(func() {
		for {
			began := f.now()
			// What is shown has both. If somebody does not answer, it has what there is.
			state, books := f.readOrder(ctx), f.readBooks(ctx)
			f.show(began.Add(-settle), state && books)
			if stackclient.Sleep(ctx, max(bookPause, 2*f.now().Sub(began))) != nil {
				return
			}
		}
	})
	both.Wait()
	f.show(f.now(), true)
}

// show shows what is known until then; complete says that it is everything.
func (f *feed) show(until time.Time, complete bool) {
	f.rows.flush(until)
	f.mu.Lock()
	defer f.mu.Unlock()
	if complete {
		f.shown = until
	}
}

// shows says whether everything until then has been shown.
func (f *feed) shows(then time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.shown.Before(then)
}

// view is the order as it was seen last.
func (f *feed) view() stackclient.Order {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// readOrder notices new states. A shop that does not answer is no news, and false.
func (f *feed) readOrder(ctx context.Context) bool {
	o, err := f.client.Order(ctx, f.id)
	if err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(o.History) < len(f.last.History) {
		return true // a newer answer has overtaken this one
	}
	f.last = o
	for _, s := range stepsTo(o) {
		key := s.state + s.cause.Event + s.cause.At.String()
		if f.done[key] {
			continue
		}
		f.done[key] = true
		r := Row{Kind: KindState, At: f.now(), Who: order, State: s.state}
		r.Reason, r.What = toldOf(o, s)
		if s.cause.Event != "" {
			r.At, r.After = s.cause.At.Add(-f.ahead[publisher(s.cause.Event)]), s.cause.Event
		}
		f.rows.add(r)
	}
	return true
}

// bus is the part of a service's books that lists its events.
type bus struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	Events  struct {
		Audited bool `json:"audited"`
		Outbox  []struct {
			event
			AvailableAt time.Time `json:"availableAt"`
		} `json:"outbox"`
		Published []event `json:"published"`
	} `json:"events"`
}

type event struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Subject   string    `json:"subject"`
	CreatedAt time.Time `json:"createdAt"` // in the outbox
	At        time.Time `json:"at"`        // published
}

// The services, as their books name them.
const (
	order     = "order"
	inventory = "inventory"
	payment   = "payment"
	shipping  = "shipping"
)

// readBooks takes the order's events from the books of all services, be they published or still in the outbox; where
// auditing is off, from the order's own history, which has only those that the order hears of. It says whether everybody
// answered.
func (f *feed) readBooks(ctx context.Context) (complete bool) {
	var all sync.WaitGroup
	books := make([]bus, 4)
	for i, url := range []string{f.client.shop.Order, f.client.shop.Inventory, f.client.shop.Payment, f.client.shop.Shipping} {
		all.Go(func() {
			if f.client.Get(ctx, url+"/ops/audit", &books[i]) != nil {
				books[i] = bus{} // next time
			}
		})
	}
	began := f.now()
	all.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	complete = true
	for _, b := range books {
		if b.Service == "" {
			complete = false
		} else {
			f.audits[b.Service] = b.Events.Audited
			f.ahead[b.Service] = ahead(b.At, began, f.now())
		}
		if !b.Events.Audited {
			continue
		}
		for _, e := range b.Events.Outbox {
			if e.AvailableAt.IsZero() { // else it is for later
				f.happened(b.Service, e.event, e.ID)
			}
		}
		for _, e := range b.Events.Published {
			f.happened(b.Service, e, e.ID)
		}
	}
	for _, h := range f.last.History {
		service := publisher(h.Event)
		if audited, known := f.audits[service]; known && !audited {
			f.happened(service, event{Type: h.Event, Subject: f.id, At: h.At}, h.Event+h.At.String())
		}
	}
	return complete
}

func (f *feed) happened(service string, e event, key string) {
	if e.Subject != f.id || f.done[key] {
		return
	}
	f.done[key] = true
	f.rows.add(Row{Kind: KindEvent, At: e.moment().Add(-f.ahead[service]), Who: service, Event: e.Type, What: f.words(bare(e.Type))})
}

// ahead compares a clock with ours, by what it said between two moments of ours. Differences that a slow answer may
// explain are none.
func ahead(theirs, before, after time.Time) time.Duration {
	const noticeable = time.Second
	switch {
	case theirs.After(after.Add(noticeable)):
		return theirs.Sub(after)
	case theirs.Before(before.Add(-noticeable)):
		return theirs.Sub(before)
	default:
		return 0
	}
}

// moment is when the event was written, which its id knows best: it was published later, by another hand.
func (e event) moment() time.Time {
	if id, err := uuid.Parse(e.ID); err == nil && id.Version() == 7 {
		milliseconds := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
		fraction := int64(id[6]&0x0f)<<8 | int64(id[7]) // of a millisecond, in 4096ths
		return time.UnixMilli(milliseconds).Add(time.Duration(fraction * int64(time.Millisecond) / 4096))
	}
	if !e.CreatedAt.IsZero() {
		return e.CreatedAt
	}
	return e.At
}

// bare is an event's type without its version.
func bare(kind string) string {
	if i := strings.LastIndex(kind, ".v"); i > 0 {
		return kind[:i]
	}
	return kind
}

// publisher is the service whose event it is.
func publisher(kind string) string {
	noun, _, _ := strings.Cut(kind, ".")
	if noun == "shipment" {
		return shipping
	}
	return noun
}
