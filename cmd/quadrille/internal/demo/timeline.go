package demo

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/services/order"
)

// Kind is the kind of a row.
type Kind string

// The kinds of rows.
const (
	KindEvent  Kind = "event"  // a service published it
	KindState  Kind = "state"  // the order entered it, and the customer sees it from then on
	KindAction Kind = "action" // a customer, a simulator or the demo did it
)

// Row is one line of a timeline.
type Row struct {
	Kind Kind
	At   time.Time
	Who  string // the service, or what acts
	What string // the event's caption, the message to the customer, or the action

	Event  string       // KindEvent: its type
	State  order.State  // KindState
	Reason order.Reason // KindState: why the order is being cancelled, or was
	After  string       // KindState: the type of the event that caused it; the row is below that event's
}

// settle is how long after its moment a row may be added. Younger rows are not shown yet, so that all rows are shown in
// order.
const settle = 120 * time.Millisecond

// timeline shows each row once, in the order of the rows' moments.
type timeline struct {
	mu      sync.Mutex
	show    func(r Row, since time.Duration)
	zero    time.Time
	waiting []Row
}

func (t *timeline) add(r Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zero.IsZero() {
		t.zero = r.At
	}
	t.waiting = append(t.waiting, r)
}

// flush shows the rows until then, including rows that were added too late for their place.
func (t *timeline) flush(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, r := range t.waiting {
		cause := slices.IndexFunc(t.waiting, func(e Row) bool { return r.After != "" && e.Event == r.After })
		if cause >= 0 {
			t.waiting[i].At = t.waiting[cause].At.Add(time.Microsecond)
		}
	}
	slices.SortStableFunc(t.waiting, func(a, b Row) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Event, b.Event))
	})
	shown := 0
	for _, r := range t.waiting {
		if r.At.After(until) {
			break
		}
		t.show(r, max(0, r.At.Sub(t.zero)))
		shown++
	}
	t.waiting = slices.Delete(t.waiting, 0, shown)
}
