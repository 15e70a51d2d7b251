package demo

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// newEndedStack returns a stack with this order, and empty snapshots.
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

// placeOrder places an order for a product in stock.
func placeOrder(ctx context.Context, r *runner) error {
	r.sku, r.products["hat-1"] = "hat-1", product{"hat", 3}
	return r.place(ctx, r.request(1))
}

func newConfig(f *fakeStack, stories ...Story) Config {
	return Config{
		Stack: f.stack(), Stories: stories, Timeout: 300 * time.Millisecond,
		Reconcile: func(context.Context, []string) (reconcile.Report, error) { return reconcile.Report{Clean: true}, nil },
	}
}

func TestRun_Failures(t *testing.T) {
	t.Parallel()
	ended := stackclient.Order{ID: "1", State: contracts.OrderStateCancelled, Reason: "out_of_stock", Message: "Nothing was charged.", Total: stackclient.Money{Amount: 1999, Currency: "EUR"}}
	for name, c := range map[string]struct {
		expect expectation
		want   []string // in the output
		status int
	}{
		"as expected": {expectation{state: order.Cancelled, reason: order.OutOfStock, message: "Nothing", parcel: noParcel}, nil, 0},
		"unexpected state": {
			expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
			[]string{
				"the order's state: expected completed, found cancelled", "its reason: expected none, found out_of_stock",
				"charges at the card processor: expected 1, found 0", "amount charged: expected 19.99 EUR, found 0.00 EUR",
				"the parcel at the carrier: expected delivered, found none", "units on hand: expected 2, found 3",
			},
			1,
		},
		"unexpected message": {
			expectation{state: order.Cancelled, reason: order.OutOfStock, message: "Sorry", parcel: noParcel},
			[]string{`message to the customer: expected "Sorry", found "Nothing was charged."`},
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
					t.Errorf("missing %q:\n%s", line, out.String())
				}
			}
		})
	}
}

func TestRun_RemovesFaultsOfFailedStory(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: contracts.OrderStateCancelled})
	failing := Story{Name: "fails", run: func(ctx context.Context, r *runner) error {
		if _, err := r.inject(ctx, r.client.stack.Processor, fault{Action: "down"}); err != nil {
			return err
		}
		return errors.New("failed")
	}}
	o, err := Run(t.Context(), newConfig(f, failing), NewJSON(&bytes.Buffer{}))
	if err != nil || o.Failed != 1 || o.Status() != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if f.injected != 1 || len(f.faults) != 0 {
		t.Errorf("%d injected, in force: %+v", f.injected, f.faults)
	}
}

func TestRun_RemovesFaultsWhenStopped(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: "pending"})
	ctx, stop := context.WithCancel(t.Context())
	waits := Story{Name: "waits", run: func(ctx context.Context, r *runner) error {
		if _, err := r.placeWithFault(ctx, r.request(1), r.client.stack.Processor, "create", fault{Action: "pause"}); err != nil {
			return err
		}
		if diff := cmp.Diff([]fault{{Match: match{OrderID: "1"}, Action: "pause"}}, f.activeFaults()); diff != "" {
			t.Errorf("in force after the order was placed (-want +got):\n%s", diff)
		}
		stop()
		return r.awaitState(ctx, order.Shipped)
	}}
	_, err := Run(ctx, newConfig(f, waits, Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story ran after the end")
		return nil
	}}), NewJSON(&bytes.Buffer{}))
	if err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("error %v", err)
	}
	if left := f.activeFaults(); f.injected != 2 || len(left) != 0 {
		t.Errorf("%d injected, in force: %+v", f.injected, left)
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

func TestRun_SkipsStoriesThatKill(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o, err := Run(t.Context(), newConfig(newEndedStack(t, stackclient.Order{}), killedStack), NewText(&out, 100, false))
	if err != nil || o.Skipped != 1 || o.Ran != 0 || o.Status() != 0 || !strings.Contains(out.String(), "Skipped") {
		t.Errorf("%+v, %v:\n%s", o, err, out.String())
	}
}

func TestRun_UnusableStack(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{})
	c := newConfig(f, Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story ran")
		return nil
	}})
	c.Stack.Token = "wrong"
	if _, err := Run(t.Context(), c, NewJSON(&bytes.Buffer{})); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("wrong token: %v", err)
	}
	c.Stack.Shipping = "http://127.0.0.1:1"
	if _, err := Run(t.Context(), c, NewJSON(&bytes.Buffer{})); err == nil || !strings.Contains(err.Error(), "cannot reach the stack") {
		t.Errorf("unreachable stack: %v", err)
	}
}

func TestOutcome_Status(t *testing.T) {
	t.Parallel()
	clean, gaps, findings := &reconcile.Report{}, &reconcile.Report{NotChecked: []string{"x"}}, &reconcile.Report{Findings: []reconcile.Finding{{}}}
	for want, outcomes := range map[int][]Outcome{
		0: {{Ran: 1, Report: clean}, {Skipped: 1}},
		1: {{Ran: 1, Failed: 1, Report: clean}, {Ran: 1, Report: findings}, {Ran: 1, Err: errors.New("no report")}},
		3: {{Ran: 1, Report: gaps}},
	} {
		for _, o := range outcomes {
			if got := o.Status(); got != want {
				t.Errorf("%+v: status %d, want %d", o, got, want)
			}
		}
	}
}

func TestPick(t *testing.T) {
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
		t.Errorf("unknown story: %v", err)
	}
}

// fullScreen accepts some lines, and then fails.
type fullScreen struct{ lines int }

func (f *fullScreen) Write(b []byte) (int, error) {
	if f.lines--; f.lines < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = errors.New("full")

func TestRun_FailedOutput(t *testing.T) {
	t.Parallel()
	f := newEndedStack(t, stackclient.Order{ID: "1", State: contracts.OrderStatePending})
	endless := Story{Name: "endless", run: func(ctx context.Context, r *runner) error {
		if _, err := r.placeWithFault(ctx, r.request(1), r.client.stack.Processor, "create", fault{Action: "pause"}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	never := Story{Name: "never", run: func(context.Context, *runner) error {
		t.Error("a story ran without output")
		return nil
	}}
	// A story's headline is one line, and so is a row.
	for lines := range 3 {
		if _, err := Run(t.Context(), newConfig(f, endless, never), NewJSON(&fullScreen{lines})); !errors.Is(err, errFull) {
			t.Errorf("after %d lines: %v", lines, err)
		}
	}
	if left := f.activeFaults(); len(left) != 0 {
		t.Errorf("still in force: %+v", left)
	}
}
