package model

import (
	"strings"
	"testing"
)

// The exploration finds a handler without a rule only if its event occurs, and a renamed handler never.
func TestProcesses_CoverEverySubscription(t *testing.T) {
	t.Parallel()
	d := newModel()
	haveRules(t, d.order)
	haveRules(t, d.inventory)
	haveRules(t, d.payment)
	haveRules(t, d.shipping)
}

func haveRules[S any](t *testing.T, p process[S]) {
	t.Helper()
	reactions := map[string]bool{}
	for _, s := range p.subscriptions {
		reactions[s.Handler()] = true
		_, ruled := p.rules[s.Handler()]
		if _, calls := p.calls[s.Handler()]; ruled == calls {
			t.Errorf("%s, handler %s: has a rule %t, makes a call %t", p.name, s.Handler(), ruled, calls)
		}
	}
	for name := range p.calls {
		if !reactions[name] {
			t.Errorf("%s has no subscription for handler %s", p.name, name)
		}
	}
	for name := range p.rules { // results of calls and commands are sentences
		if !reactions[name] && !strings.Contains(name, " ") {
			t.Errorf("%s has no subscription for handler %s", p.name, name)
		}
	}
}
