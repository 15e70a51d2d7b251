package faults_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
)

func newInjector(t *testing.T, active ...faults.Fault) *faults.Injector {
	t.Helper()
	injector := faults.NewInjector(faults.Operations{
		Requests: []string{"pay", "look"}, Webhooks: []string{"webhook"}, Transitions: []string{"fetch"},
	})
	t.Cleanup(injector.Close)
	if err := injector.Replace(active); err != nil {
		t.Fatal(err)
	}
	return injector
}

func fired(injector *faults.Injector) []int {
	var counts []int
	for _, f := range injector.Faults() {
		counts = append(counts, f.Fired)
	}
	return counts
}

func TestInjector_FirstMatchingFaultActs(t *testing.T) {
	t.Parallel()
	injector := newInjector(t,
		faults.Fault{Match: faults.Match{Operation: "pay", OrderID: "o1"}, Action: faults.Drop, Times: 2},
		faults.Fault{Match: faults.Match{Operation: "pay"}, Action: faults.Unavailable, Times: 1},
		faults.Fault{Match: faults.Match{Reference: "o1"}, Action: faults.Error500After},
	)
	decide := func(operation, order string, replay bool) faults.Decision {
		return injector.Before(t.Context(), faults.Request{Operation: operation, Order: order, Replay: replay})
	}
	got := []faults.Decision{
		decide("look", "o2", false), decide("pay", "o1", true), decide("pay", "o1", false), decide("pay", "o1", false),
		decide("pay", "o1", false), decide("pay", "o1", true), decide("webhook", "o1", false), decide("pay", "o2", false),
	}
	want := []faults.Decision{
		faults.Proceed, faults.Disconnect, faults.Disconnect, faults.RespondUnavailable,
		faults.RespondErrorAfter, faults.Proceed, faults.Proceed, faults.Proceed,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{2, 1, 1}, fired(injector)); diff != "" {
		t.Errorf("fired: %s", diff)
	}
}

func TestInjector_ActsBeforeOrAfterTheEffect(t *testing.T) {
	t.Parallel()
	injector := newInjector(t,
		faults.Fault{Match: faults.Match{Operation: "webhook"}, Action: faults.Drop, When: faults.After},
	)
	request := faults.Request{Operation: "webhook"}
	if got := injector.Before(t.Context(), request); got != faults.Proceed {
		t.Errorf("before: %v", got)
	}
	if got := injector.After(t.Context(), request); got != faults.Disconnect {
		t.Errorf("after: %v", got)
	}
}

func TestPause_BlocksRequest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		end  func(injector *faults.Injector, disconnect context.CancelFunc)
		want faults.Decision
	}{
		"until the fault is removed": {
			func(i *faults.Injector, _ context.CancelFunc) { _, _ = i.Remove(i.Faults()[0].ID) }, faults.Proceed,
		},
		"until the fault is replaced": {
			func(i *faults.Injector, _ context.CancelFunc) { _ = i.Replace(nil) }, faults.Proceed,
		},
		"until the client disconnects": {
			func(_ *faults.Injector, disconnect context.CancelFunc) { disconnect() }, faults.Disconnect,
		},
		"until the injector is closed": {
			func(i *faults.Injector, _ context.CancelFunc) { i.Close() }, faults.Disconnect,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			injector := newInjector(t, faults.Fault{Action: faults.Pause})
			ctx, disconnect := context.WithCancel(t.Context())
			defer disconnect()
			decision := make(chan faults.Decision, 1)
			go func() { decision <- injector.Before(ctx, faults.Request{Operation: "pay"}) }()
			for fired(injector)[0] == 0 {
				select {
				case d := <-decision:
					t.Fatalf("not paused: %v", d)
				case <-time.After(time.Millisecond):
				}
			}
			c.end(injector, disconnect)
			if got := <-decision; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPause_PutsTransitionOff(t *testing.T) {
	t.Parallel()
	injector := newInjector(t,
		faults.Fault{Action: faults.Pause}, // matches API requests, but no transitions
		faults.Fault{Match: faults.Match{Operation: "fetch", OrderID: "o1"}, Action: faults.Pause})
	changed := make(chan struct{}, 1)
	injector.OnChange(func() { changed <- struct{}{} })
	matching, other := faults.Request{Operation: "fetch", Order: "o1"}, faults.Request{Operation: "fetch", Order: "o2"}
	for range 2 { // the second call is not counted
		if !injector.Paused(matching) || injector.Paused(other) {
			t.Error("want only the matching transition paused")
		}
	}
	if diff := cmp.Diff([]int{0, 1}, fired(injector)); diff != "" {
		t.Errorf("fired: %s", diff)
	}
	if _, err := injector.Remove(injector.Faults()[1].ID); err != nil {
		t.Fatal(err)
	}
	<-changed
	if injector.Paused(matching) {
		t.Error("paused after the fault was removed")
	}
}

func TestInjector_RejectsInvalidFaults(t *testing.T) {
	t.Parallel()
	injector := newInjector(t, faults.Fault{Action: faults.Drop})
	for name, fault := range map[string]faults.Fault{
		"without action":           {},
		"unknown operation":        {Match: faults.Match{Operation: "sell"}, Action: faults.Pause},
		"orderId and reference":    {Match: faults.Match{OrderID: "a", Reference: "b"}, Action: faults.Pause},
		"delay without a duration": {Action: faults.Delay},
		"pause with a duration":    {Action: faults.Pause, Delay: faults.Duration(time.Second)},
		"unavailable with when":    {Action: faults.Unavailable, When: faults.After},
		"unknown when":             {Action: faults.Pause, When: "later"},
		"down with match":          {Match: faults.Match{OrderID: "a"}, Action: faults.Down},
		"negative times":           {Action: faults.Pause, Times: -1},
		"error500 of a webhook":    {Match: faults.Match{Operation: "webhook"}, Action: faults.Error500},
		"unknown action":           {Action: "explode"},
		"down with times":          {Action: faults.Down, Times: 2},
		"delay of a transition":    {Match: faults.Match{Operation: "fetch"}, Action: faults.Delay, Delay: 1},
		"transition with times":    {Match: faults.Match{Operation: "fetch"}, Action: faults.Pause, Times: 2},
		"transition with when":     {Match: faults.Match{Operation: "fetch"}, Action: faults.Pause, When: faults.After},
		"nonsense of a webhook":    {Match: faults.Match{Operation: "webhook"}, Action: faults.Nonsense},
		"unavailable webhook":      {Match: faults.Match{Operation: "webhook"}, Action: faults.Unavailable},
	} {
		err := injector.Replace([]faults.Fault{fault})
		if invalid := (faults.InvalidError{}); !errors.As(err, &invalid) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := injector.Add(fault); err == nil {
			t.Errorf("%s: Add accepted it", name)
		}
	}
	if len(injector.Faults()) != 1 {
		t.Error("a rejected change replaced the faults")
	}
}

func TestOnDown_CalledOncePerChange(t *testing.T) {
	t.Parallel()
	injector := newInjector(t)
	var calls []bool
	if err := injector.OnDown(func(down bool) error { calls = append(calls, down); return nil }); err != nil {
		t.Fatal(err)
	}
	down := faults.Fault{Action: faults.Down}
	first, err := injector.Add(down)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := injector.Add(down); err != nil {
		t.Fatal(err)
	}
	if _, err := injector.Remove(first.ID); err != nil || !injector.Down() {
		t.Fatalf("err %v, down %v", err, injector.Down())
	}
	if err := injector.Replace(nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(calls, []bool{true, false}) {
		t.Errorf("calls %v", calls)
	}
}
