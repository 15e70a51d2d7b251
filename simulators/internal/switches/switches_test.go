package switches_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
)

func newSet(t *testing.T, specs ...switches.Spec) *switches.Set {
	t.Helper()
	set := switches.New(switches.Operations{
		Incoming: []string{"pay", "look"}, Outgoing: []string{"webhook"}, Moves: []string{"fetch"},
	})
	t.Cleanup(set.Close)
	if err := set.Replace(specs); err != nil {
		t.Fatal(err)
	}
	return set
}

func fired(set *switches.Set) []int {
	var counts []int
	for _, r := range set.Rules() {
		counts = append(counts, r.Fired)
	}
	return counts
}

func TestSet_FirstMatchingRuleActsUntilItsTimesAreUp(t *testing.T) {
	t.Parallel()
	set := newSet(t,
		switches.Spec{Match: switches.Match{Operation: "pay", OrderID: "o1"}, Action: switches.Refuse, Times: 2},
		switches.Spec{Match: switches.Match{Operation: "pay"}, Action: switches.Unavailable, Times: 1},
		switches.Spec{Match: switches.Match{Reference: "o1"}, Action: switches.Error500After},
	)
	ask := func(operation, order string, replay bool) switches.Verdict {
		return set.Before(t.Context(), switches.Request{Operation: operation, Order: order, Replay: replay})
	}
	got := []switches.Verdict{
		ask("look", "o2", false), ask("pay", "o1", true), ask("pay", "o1", false), ask("pay", "o1", false),
		ask("pay", "o1", false), ask("pay", "o1", true), ask("webhook", "o1", false), ask("pay", "o2", false),
	}
	want := []switches.Verdict{
		switches.Proceed, switches.HangUp, switches.HangUp, switches.AnswerBusy,
		switches.FailAfterEffect, switches.Proceed, switches.Proceed, switches.Proceed,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{2, 1, 1}, fired(set)); diff != "" {
		t.Errorf("fired: %s", diff)
	}
}

func TestSet_ActsOnlyOnTheSideItNames(t *testing.T) {
	t.Parallel()
	set := newSet(t,
		switches.Spec{Match: switches.Match{Operation: "webhook"}, Action: switches.Refuse, When: switches.After},
	)
	request := switches.Request{Operation: "webhook"}
	if got := set.Before(t.Context(), request); got != switches.Proceed {
		t.Errorf("before: %v", got)
	}
	if got := set.After(t.Context(), request); got != switches.HangUp {
		t.Errorf("after: %v", got)
	}
}

func TestHold_EndsWithTheRuleTheClientOrTheSet(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		end  func(set *switches.Set, gone context.CancelFunc)
		want switches.Verdict
	}{
		"rule removed":  {func(set *switches.Set, _ context.CancelFunc) { _, _ = set.Remove(set.Rules()[0].ID) }, switches.Proceed},
		"rule replaced": {func(set *switches.Set, _ context.CancelFunc) { _ = set.Replace(nil) }, switches.Proceed},
		"client gone":   {func(_ *switches.Set, gone context.CancelFunc) { gone() }, switches.HangUp},
		"set closed":    {func(set *switches.Set, _ context.CancelFunc) { set.Close() }, switches.HangUp},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := newSet(t, switches.Spec{Action: switches.Hold})
			ctx, gone := context.WithCancel(t.Context())
			defer gone()
			verdict := make(chan switches.Verdict, 1)
			go func() { verdict <- set.Before(ctx, switches.Request{Operation: "pay"}) }()
			for fired(set)[0] == 0 {
				select {
				case v := <-verdict:
					t.Fatalf("not held: %v", v)
				case <-time.After(time.Millisecond):
				}
			}
			c.end(set, gone)
			if got := <-verdict; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestHold_PutsAMoveOffUntilTheRuleIsRemoved(t *testing.T) {
	t.Parallel()
	set := newSet(t,
		switches.Spec{Action: switches.Hold}, // for requests, and not for moves
		switches.Spec{Match: switches.Match{Operation: "fetch", OrderID: "o1"}, Action: switches.Hold})
	changed := make(chan struct{}, 1)
	set.OnChange(func() { changed <- struct{}{} })
	mine, others := switches.Request{Operation: "fetch", Order: "o1"}, switches.Request{Operation: "fetch", Order: "o2"}
	for range 2 { // it is asked again, and counted once
		if !set.Holds(mine) || set.Holds(others) {
			t.Error("the one that matches is held, and only that")
		}
	}
	if diff := cmp.Diff([]int{0, 1}, fired(set)); diff != "" {
		t.Errorf("fired: %s", diff)
	}
	if _, err := set.Remove(set.Rules()[1].ID); err != nil {
		t.Fatal(err)
	}
	<-changed
	if set.Holds(mine) {
		t.Error("held without a rule")
	}
}

func TestReplace_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	set := newSet(t, switches.Spec{Action: switches.Refuse})
	for name, spec := range map[string]switches.Spec{
		"no action":            {},
		"unknown operation":    {Match: switches.Match{Operation: "dance"}, Action: switches.Hold},
		"two names of order":   {Match: switches.Match{OrderID: "a", Reference: "b"}, Action: switches.Hold},
		"slow without delay":   {Action: switches.Slow},
		"delay without slow":   {Action: switches.Hold, Delay: switches.Duration(time.Second)},
		"when of unavailable":  {Action: switches.Unavailable, When: switches.After},
		"unknown when":         {Action: switches.Hold, When: "later"},
		"down for one order":   {Match: switches.Match{OrderID: "a"}, Action: switches.Down},
		"negative times":       {Action: switches.Hold, Times: -1},
		"answer of a webhook":  {Match: switches.Match{Operation: "webhook"}, Action: switches.Error500},
		"unknown action":       {Action: "explode"},
		"down a few times":     {Action: switches.Down, Times: 2},
		"slow move":            {Match: switches.Match{Operation: "fetch"}, Action: switches.Slow, Delay: 1},
		"a few moves":          {Match: switches.Match{Operation: "fetch"}, Action: switches.Hold, Times: 2},
		"held after the move":  {Match: switches.Match{Operation: "fetch"}, Action: switches.Hold, When: switches.After},
		"unavailable, webhook": {Match: switches.Match{Operation: "webhook"}, Action: switches.Unavailable},
	} {
		err := set.Replace([]switches.Spec{spec})
		if invalid := (switches.InvalidError{}); !errors.As(err, &invalid) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := set.Add(spec); err == nil {
			t.Errorf("%s: added", name)
		}
	}
	if len(set.Rules()) != 1 {
		t.Error("a refused change changed the rules")
	}
}

func TestDown_TellsTheListenerOnceForEachChange(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	var calls []bool
	if err := set.OnDown(func(down bool) error { calls = append(calls, down); return nil }); err != nil {
		t.Fatal(err)
	}
	down := switches.Spec{Action: switches.Down}
	first, err := set.Add(down)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Add(down); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Remove(first.ID); err != nil || !set.Down() {
		t.Fatalf("err %v, down %v", err, set.Down())
	}
	if err := set.Replace(nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(calls, []bool{true, false}) {
		t.Errorf("calls %v", calls)
	}
}
