package demo

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Kind tells the rows of a timeline apart.
type Kind string

// The kinds of rows.
const (
	KindEvent  Kind = "event"  // a service published it
	KindState  Kind = "state"  // what the customer is shown from here on
	KindAction Kind = "action" // something that was done to the shop from outside
)

// Row is one line of a timeline.
type Row struct {
	Kind Kind
	At   time.Time
	Who  string // the service, or who acts
	What string // in words: what it meant, or the customer's message

	Event  string // KindEvent: its type
	State  string // KindState
	Reason string // KindState: why it is being, or was, cancelled
	After  string // KindState: the type of the event that it follows from, below which it belongs
}

// settle is how long after its moment a row may still become known: what is younger waits, so that rows can be shown
// in order.
const settle = 120 * time.Millisecond

// timeline takes rows as they become known, and shows each once, in the order of their moments.
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

// flush shows what happened until then. What became known too late for its place is shown all the same.
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
