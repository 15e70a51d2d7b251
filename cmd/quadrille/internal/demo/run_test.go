package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// open is a shop with these books of the simulators, and an order that has ended so.
func newEndedStack(t *testing.T, o stackclient.Order) *fakeStack {
	t.Helper()
	f := newFakeStack(t)
	f.order = o
	for _, service := range []string{orderService, inventoryService, paymentService, shippingService} {
		f.snapshots[service] = newSnapshot(service, true, time.Now(), nil, nil)
	}
	f.snapshots["processor"] = map[string]any{"paymentIntents": []any{}}
	f.snapshots["carrier"] = map[string]any{"shipments": []any{}}
	return f
}

// ordering places an order for something that is on the shelf.
func placeOrder(ctx context.Context, s *runner) error {
	s.sku, s.products["hat-1"] = "hat-1", product{"hat", 3}
	return s.place(ctx, s.request(1))
}

func newConfig(f *fakeStack, stories ...Story) Config {
	return Config{
		Stack: f.stack(), Stories: stories, Timeout: 300 * time.Millisecond,
		Reconcile: func(context.Context, []string) (reconcile.Report, error) { return reconcile.Report{Clean: true}, nil },
	}
}

func TestRun_SaysWhatIsNotAsExpected(t *testing.T) {
	t.Parallel()
	ended := stackclient.Order{ID: "1", State: cancelled, Reason: "out_of_stock", Message: "Nothing was charged.", Total: stackclient.Money{Amount: 1999, Currency: "EUR"}}
	for name, c := range map[string]struct {
		expect expectation
		want   []string // what is said
		status int
	}{
		"all is well": {expectation{state: cancelled, reason: "out_of_stock", message: "Nothing", parcel: noParcel}, nil, 0},
		"another end": {
			expectation{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
			[]string{
				"the order's state: expected completed, found cancelled", "its reason: expected none, found out_of_stock",
				"charges at the processor: expected 1, found 0", "taken at the processor: expected 19.99 EUR, found 0.00 EUR",
				"the parcel at the carrier: expected delivered, found none", "pieces on the shelf: expected 2, found 3",
			},
			1,
		},
		"another message": {
			expectation{state: cancelled, reason: "out_of_stock", message: "Sorry", parcel: noParcel},
			[]string{`the customer should be told "Sorry", and is told "Nothing was charged."`},
			1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			o, err := Run(t.Context(), newConfig(newEndedStack(t, ended), Story{Name: "one", Title: "One", expect: c.expect, run: placeOrder}), NewText(&out, 120, false))
			if err != nil {
				t.Fatal(err)
			}
			if o.Status() != c.status {
				t.Errorf("status %d, want %d", o.Status(), c.status)
			}
			for _, line := range c.want {
				if !strings.Contains(out.String(), line+"\n") {
					t.Errorf("%q is not said:\n%s", line, out.String())
				}
			}
		})
	}
}

func TestRun_MendsWhatAStoryLeavesBroken(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: cancelled})
	breaks := Story{Name: "breaks", run: func(ctx context.Context, s *runner) error {
		if _, err := s.inject(ctx, s.client.stack.Processor, fault{Action: "down"}); err != nil {
			return err
		}
		return errors.New("and fails")
	}}
	o, err := Run(t.Context(), newConfig(f, breaks), NewJSON(&bytes.Buffer{}))
	if err != nil || o.Failed != 1 || o.Status() != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if f.injected != 1 || len(f.faults) != 0 {
		t.Errorf("%d switched on, left: %+v", f.injected, f.faults)
	}
}

func TestRun_MendsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: "pending"})
	ctx, stop := context.WithCancel(t.Context())
	waits := Story{Name: "waits", run: func(ctx context.Context, s *runner) error {
		if _, err := s.placeWithFault(ctx, s.request(1), s.client.stack.Processor, "create", fault{Action: "pause"}); err != nil {
			return err
		}
		if diff := cmp.Diff([]fault{{Match: match{OrderID: "1"}, Action: "pause"}}, f.activeFaults()); diff != "" {
			t.Errorf("in force once the order is placed (-want +got):\n%s", diff)
		}
		stop()
		return s.awaitState(ctx, shipped)
	}}
	_, err := Run(ctx, newConfig(f, waits, Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story was played after the end")
		return nil
	}}), NewJSON(&bytes.Buffer{}))
	if err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("error %v", err)
	}
	if left := f.activeFaults(); f.injected != 2 || len(left) != 0 {
		t.Errorf("%d switched on, left: %+v", f.injected, left)
	}
}

func (f *fakeStack) activeFaults() (rules []fault) {
	f.change(func() {
		for _, r := range f.faults {
			rules = append(rules, r)
		}
	})
	return rules
}

func TestRun_LeavesOutWhatItCannotKill(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o, err := Run(t.Context(), newConfig(newEndedStack(t, stackclient.Order{}), killedStack), NewText(&out, 100, false))
	if err != nil || o.Skipped != 1 || o.Played != 0 || o.Status() != 0 || !strings.Contains(out.String(), "Left out") {
		t.Errorf("%+v, %v:\n%s", o, err, out.String())
	}
}

func TestRun_SaysBeforeTheFirstStoryThatItCannotPlay(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{})
	c := newConfig(f, Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story was played")
		return nil
	}})
	c.Stack.Token = "wrong"
	if _, err := Run(t.Context(), c, NewJSON(&bytes.Buffer{})); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("with a wrong token: %v", err)
	}
	c.Stack.Shipping = "http://127.0.0.1:1"
	if _, err := Run(t.Context(), c, NewJSON(&bytes.Buffer{})); err == nil || !strings.Contains(err.Error(), "no shop there") {
		t.Errorf("without a shop: %v", err)
	}
}

func TestOutcome_FailsWithTheLedger(t *testing.T) {
	t.Parallel()
	clean, gaps, off := &reconcile.Report{}, &reconcile.Report{NotChecked: []string{"x"}}, &reconcile.Report{Findings: []reconcile.Finding{{}}}
	for want, outcomes := range map[int][]Outcome{
		0: {{Played: 1, Report: clean}, {Skipped: 1}},
		1: {{Played: 1, Failed: 1, Report: clean}, {Played: 1, Report: off}, {Played: 1, Err: errors.New("no books")}},
		3: {{Played: 1, Report: gaps}},
	} {
		for _, o := range outcomes {
			if got := o.Status(); got != want {
				t.Errorf("%+v: status %d, want %d", o, got, want)
			}
		}
	}
}

func TestPick_TellsStoriesInTheirOwnOrder(t *testing.T) {
	t.Parallel()
	picked, err := Pick("twice", "happy", "twice")
	if err != nil || len(picked) != 2 || picked[0].Name != "happy" || picked[1].Name != "twice" {
		t.Errorf("%+v, %v", picked, err)
	}
	if all, err := Pick(); err != nil || len(all) != len(Names()) {
		t.Errorf("%d of %d, %v", len(all), len(Names()), err)
	}
	_, err = Pick("happy", "sad")
	if err == nil || !strings.Contains(err.Error(), `"sad"`) || !strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
		t.Errorf("an unknown one: %v", err)
	}
}

// fullScreen takes some lines, and then no more.
type fullScreen struct{ lines int }

func (f *fullScreen) Write(b []byte) (int, error) {
	if f.lines--; f.lines < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = errors.New("full")

func TestRun_EndsOnceNobodySeesIt(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: pending})
	endless := Story{Name: "endless", run: func(ctx context.Context, s *runner) error {
		if _, err := s.placeWithFault(ctx, s.request(1), s.client.stack.Processor, "create", fault{Action: "pause"}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	never := Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story was played to nobody")
		return nil
	}}
	// A story's headline is one line, and so is a row: it ends with the headline, the first row and the second one.
	for lines := range 3 {
		if _, err := Run(t.Context(), newConfig(f, endless, never), NewJSON(&fullScreen{lines})); !errors.Is(err, errFull) {
			t.Errorf("after %d lines: %v", lines, err)
		}
	}
	if left := f.activeFaults(); len(left) != 0 {
		t.Errorf("still broken: %+v", left)
	}
}
