package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeline_Order(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	var shown []string
	rows := timeline{show: func(r Row, since time.Duration) { shown = append(shown, since.String()+" "+r.What) }}
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Errorf("shown (-want +got):\n%s", diff)
		}
		shown = nil
	}

	rows.add(Row{At: at(0), What: "first"})
	rows.add(Row{At: at(30), What: "third"})
	rows.add(Row{At: at(20), What: "second"})
	rows.flush(at(25))
	want("0s first", "20ms second")
	rows.flush(at(29))
	want()
	rows.add(Row{At: at(10), What: "late"})
	rows.flush(at(40))
	want("10ms late", "30ms third")
}

func TestTimeline_StateBelowItsEvent(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	var shown []string
	rows := timeline{show: func(r Row, _ time.Duration) { shown = append(shown, r.What) }}
	rows.add(Row{Kind: KindState, At: zero, After: "payment.processed.v1", What: "paid"}) // slightly before the event
	rows.add(Row{Kind: KindEvent, At: zero.Add(2 * time.Millisecond), Event: "payment.processed.v1", What: "processed"})
	rows.add(Row{Kind: KindEvent, At: zero.Add(3 * time.Millisecond), Event: "order.confirmed.v1", What: "confirmed"})
	rows.add(Row{Kind: KindEvent, At: zero.Add(time.Millisecond), Event: "payment.charge_requested.v1", What: "started"})
	rows.flush(zero.Add(time.Second))
	if diff := cmp.Diff([]string{"started", "processed", "paid", "confirmed"}, shown); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}
