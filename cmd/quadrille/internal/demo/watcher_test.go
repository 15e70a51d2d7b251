package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// newTestWatcher returns a watcher, and a function that makes it read once and returns the rows that it has shown.
func newTestWatcher(t *testing.T, f *fakeStack) (*watcher, func() []string) {
	t.Helper()
	c := newClient(f.stack())
	t.Cleanup(c.Close)
	var shown []string
	rows := &timeline{show: func(r Row, _ time.Duration) { shown = append(shown, r.Who+" "+r.Event+string(r.State)) }}
	w := newWatcher(c, rows, f.order, func(event string) string { return event })
	return w, func() []string {
		w.readOrder(t.Context())
		w.readSnapshots(t.Context())
		w.show(time.Now().Add(time.Hour), true)
		all := shown
		shown = nil
		return all
	}
}

func TestWatcher_ShowsEachEventOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	mine := map[string]any{"id": uuid.Must(uuid.NewV7()).String(), "type": "order.created.v1", "subject": "1", "createdAt": now}
	other := map[string]any{"id": uuid.Must(uuid.NewV7()).String(), "type": "order.created.v1", "subject": "2", "createdAt": now}
	later := map[string]any{
		"id": uuid.Must(uuid.NewV7()).String(), "type": "order.payment_deadline_passed.v1", "subject": "1", "createdAt": now,
		"availableAt": now.Add(time.Hour),
	}
	f := newFakeStack(t)
	f.order = stackclient.Order{ID: "1", State: "pending"}
	f.snapshots[orderService] = newSnapshot(orderService, true, now, []map[string]any{mine, other, later}, nil)
	_, read := newTestWatcher(t, f)
	if diff := cmp.Diff([]string{"order order.created.v1", "order pending"}, read()); diff != "" {
		t.Errorf("from the outbox (-want +got):\n%s", diff)
	}

	f.change(func() {
		f.snapshots[orderService] = newSnapshot(orderService, true, now, []map[string]any{later}, []map[string]any{other, mine})
	})
	if again := read(); len(again) > 0 {
		t.Errorf("published: %v", again)
	}
	f.change(func() { delete(f.snapshots, orderService) })
	if again := read(); len(again) > 0 {
		t.Errorf("unavailable service: %v", again)
	}
}

func TestWatcher_WithoutAuditing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	reservedID := uuid.Must(uuid.NewV7()).String()
	f := newFakeStack(t)
	f.order = stackclient.Order{ID: "1", State: contracts.OrderStateReserved, History: []stackclient.HistoryEntry{
		{At: now.Add(-10 * time.Millisecond), Event: "order.created.v1"}, {At: now, Event: "inventory.reserved.v1"},
	}}
	f.snapshots[orderService] = newSnapshot(orderService, false, now, []map[string]any{{"id": uuid.NewString(), "type": "order.created.v1", "subject": "1", "createdAt": now}}, nil)
	f.snapshots[inventoryService] = newSnapshot(inventoryService, true, now, nil, []map[string]any{{"id": reservedID, "type": "inventory.reserved.v1", "subject": "1", "at": now}})
	_, read := newTestWatcher(t, f)
	if diff := cmp.Diff([]string{"order order.created.v1", "order pending", "inventory inventory.reserved.v1", "order reserved"}, read()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if again := read(); len(again) > 0 {
		t.Errorf("again: %v", again)
	}
}

func TestEvent_Moment(t *testing.T) {
	t.Parallel()
	before := time.Now().Add(-time.Millisecond)
	first := event{ID: uuid.Must(uuid.NewV7()).String(), At: before.Add(time.Hour)}
	second := event{ID: uuid.Must(uuid.NewV7()).String(), At: before.Add(time.Minute)}
	if after := time.Now().Add(time.Millisecond); first.moment().Before(before) || second.moment().After(after) || second.moment().Before(first.moment()) {
		t.Errorf("between %v and %v: %v, then %v", before, after, first.moment(), second.moment())
	}
	if e := (event{ID: "not a UUID", At: before}); !e.moment().Equal(before) {
		t.Errorf("without such an id: %v, want %v", e.moment(), before)
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	after := before.Add(100 * time.Millisecond)
	for theirs, want := range map[time.Duration]time.Duration{
		0: 0, 50 * time.Millisecond: 0, 900 * time.Millisecond: 0, -900 * time.Millisecond: 0,
		5100 * time.Millisecond: 5 * time.Second, -3 * time.Second: -3 * time.Second,
	} {
		if got := ahead(before.Add(theirs), before, after); got != want {
			t.Errorf("a clock that says %v: ahead by %v, want %v", theirs, got, want)
		}
	}
}
