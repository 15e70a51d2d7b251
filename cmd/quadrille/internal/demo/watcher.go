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
	// orderPause is the pause between two readings of the order. snapshotPause is the shortest one between two readings of
	// the audit snapshots, which take longer the more the stack has done.
	orderPause    = 15 * time.Millisecond
	snapshotPause = 60 * time.Millisecond
)

// watcher reads one order and its events repeatedly, and adds what is new to a timeline.
type watcher struct {
	client  *client
	id      string
	rows    *timeline
	caption func(event string) string
	done    map[string]bool // the rows that the timeline has, by origin
	now     func() time.Time

	mu      sync.Mutex
	last    stackclient.Order
	shown   time.Time                // everything until then is shown
	audited map[string]bool          // whether a service's snapshot has the events that it published
	ahead   map[string]time.Duration // how far a service's clock is ahead of this machine's, if noticeably
}

func newWatcher(c *client, rows *timeline, placed stackclient.Order, caption func(string) string) *watcher {
	return &watcher{
		client: c, id: placed.ID, rows: rows, caption: caption, done: map[string]bool{}, now: time.Now,
		last: stackclient.Order{ID: placed.ID, Total: placed.Total}, audited: map[string]bool{},
		ahead: map[string]time.Duration{},
	}
}

// run blocks until ctx ends. Then it shows everything that it has read.
func (w *watcher) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		for w.readOrder(ctx); stackclient.Sleep(ctx, orderPause) == nil; {
			w.readOrder(ctx)
		}
	})
	both.Go(func() {
		for {
			began := w.now()
			// Rows are shown only after both were read. If a service is unavailable, the rows are incomplete.
			order, snapshots := w.readOrder(ctx), w.readSnapshots(ctx)
			w.show(began.Add(-settle), order && snapshots)
			if stackclient.Sleep(ctx, max(snapshotPause, 2*w.now().Sub(began))) != nil {
				return
			}
		}
	})
	both.Wait()
	w.show(w.now(), true)
}

// show shows the rows until then. If they are complete, shows reports so.
func (w *watcher) show(until time.Time, complete bool) {
	w.rows.flush(until)
	w.mu.Lock()
	defer w.mu.Unlock()
	if complete {
		w.shown = until
	}
}

// shows reports whether everything until then has been shown.
func (w *watcher) shows(then time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.shown.Before(then)
}

// view returns the order as it was read last.
func (w *watcher) view() stackclient.Order {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// readOrder adds the order's new states. It reports whether the order service has responded.
func (w *watcher) readOrder(ctx context.Context) bool {
	o, err := w.client.Order(ctx, w.id)
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(o.History) < len(w.last.History) {
		return true // a newer response has overtaken this one
	}
	w.last = o
	for _, t := range transitions(o) {
		key := string(t.state) + t.cause.Event + t.cause.At.String()
		if w.done[key] {
			continue
		}
		w.done[key] = true
		row := Row{Kind: KindState, At: w.now(), Who: orderService, State: t.state, Reason: t.reason, What: t.message}
		if t.cause.Event != "" {
			row.At, row.After = t.cause.At.Add(-w.ahead[publisher(t.cause.Event)]), t.cause.Event
		}
		w.rows.add(row)
	}
	return true
}

// serviceSnapshot is the part of a service's audit snapshot that has its events.
type serviceSnapshot struct {
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

// The services, by their names in audit snapshots.
const (
	orderService     = "order"
	inventoryService = "inventory"
	paymentService   = "payment"
	shippingService  = "shipping"
)

// readSnapshots adds the order's events from the audit snapshots of all services, published or still in the outbox. For a
// service without auditing it uses the order's history, which has only the events that the order service consumes. It
// reports whether every service has responded.
func (w *watcher) readSnapshots(ctx context.Context) (complete bool) {
	var all sync.WaitGroup
	stack := w.client.stack
	snapshots := make([]serviceSnapshot, 4)
	began := w.now()
	for i, url := range []string{stack.Order, stack.Inventory, stack.Payment, stack.Shipping} {
		all.Go(func() {
			if w.client.Get(ctx, url+"/ops/audit", &snapshots[i]) != nil {
				snapshots[i] = serviceSnapshot{} // the next reading may have it
			}
		})
	}
	all.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	complete = true
	for _, s := range snapshots {
		if s.Service == "" {
			complete = false
		} else {
			w.audited[s.Service] = s.Events.Audited
			w.ahead[s.Service] = ahead(s.At, began, w.now())
		}
		if !s.Events.Audited {
			continue
		}
		for _, e := range s.Events.Outbox {
			if e.AvailableAt.IsZero() { // other events are scheduled
				w.addEvent(s.Service, e.event, e.ID)
			}
		}
		for _, e := range s.Events.Published {
			w.addEvent(s.Service, e, e.ID)
		}
	}
	for _, h := range w.last.History {
		service := publisher(h.Event)
		if audited, known := w.audited[service]; known && !audited {
			w.addEvent(service, event{Type: h.Event, Subject: w.id, At: h.At}, h.Event+h.At.String())
		}
	}
	return complete
}

func (w *watcher) addEvent(service string, e event, key string) {
	if e.Subject != w.id || w.done[key] {
		return
	}
	w.done[key] = true
	w.rows.add(Row{
		Kind: KindEvent, At: e.moment().Add(-w.ahead[service]), Who: service, Event: e.Type, What: w.caption(withoutVersion(e.Type)),
	})
}

// ahead returns how far a clock is ahead of this machine's, from the time that it had between two moments. A difference that
// a slow response can explain is zero.
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

// moment returns when the event was stored. Its id has that time; an event is published later.
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

// withoutVersion returns an event type without its version.
func withoutVersion(eventType string) string {
	if i := strings.LastIndex(eventType, ".v"); i > 0 {
		return eventType[:i]
	}
	return eventType
}

// publisher returns the service that publishes an event type.
func publisher(eventType string) string {
	noun, _, _ := strings.Cut(eventType, ".")
	if noun == "shipment" {
		return shippingService
	}
	return noun
}
