package e2e

import (
	"net/http"
	"testing"
)

// rule is a switch of a simulator.
type rule struct {
	Match struct {
		Operation string `json:"operation,omitempty"`
	} `json:"match"`
	Action string `json:"action"`
	When   string `json:"when,omitempty"`
	Times  int    `json:"times"`
	Delay  string `json:"delay,omitempty"`
	ID     string `json:"id,omitempty"`
	Fired  int    `json:"fired,omitempty"`
}

func fault(operation, action, when string, times int) rule {
	r := rule{Action: action, When: when, Times: times}
	r.Match.Operation = operation
	return r
}

// trouble is a fault that is switched on.
type trouble struct {
	shop     *Shop
	switches string
	id       string
}

// misbehave switches a fault on at a simulator, until mend or the end of the test.
func (s *Shop) misbehave(t *testing.T, simulator string, r rule) trouble {
	t.Helper()
	tr := trouble{shop: s, switches: simulator + "/ops/switches"}
	s.must(t, http.StatusCreated, http.MethodPost, tr.switches, r).decode(t, &r)
	tr.id = r.ID
	t.Cleanup(func() { tr.mend(t) })
	return tr
}

func (tr trouble) mend(t *testing.T) {
	t.Helper()
	if _, err := tr.shop.do(http.MethodDelete, tr.switches+"/"+tr.id, nil); err != nil {
		t.Error(err)
	}
}

// fired says how often the fault has happened.
func (tr trouble) fired(t *testing.T) int {
	t.Helper()
	var all struct {
		Rules []rule `json:"rules"`
	}
	tr.shop.must(t, http.StatusOK, http.MethodGet, tr.switches, nil).decode(t, &all)
	for _, r := range all.Rules {
		if r.ID == tr.id {
			return r.Fired
		}
	}
	return 0
}

// Whatever the processor or the carrier does wrong once, the order is completed, paid once and delivered once. The
// faults are for every order, so nothing else may run meanwhile: these tests are not parallel.
func TestMisbehavingOutsideWorld_PaysAndDeliversOnce(t *testing.T) {
	slow := fault("confirm", "slow", "before", 1)
	slow.Delay = "1s"
	for name, c := range map[string]struct {
		simulator string
		rule      rule
	}{
		"the intent's answer is lost":           {shop.Processor, fault("create", "refuse", "after", 1)},
		"the charge lands, its answer is lost":  {shop.Processor, fault("confirm", "refuse", "after", 1)},
		"the charge's connection is dropped":    {shop.Processor, fault("confirm", "refuse", "before", 2)},
		"the charge is slow":                    {shop.Processor, slow},
		"the charge fails, 500 saved":           {shop.Processor, fault("confirm", "error500", "", 1)},
		"the charge lands, 500 saved":           {shop.Processor, fault("confirm", "error500_after", "", 1)},
		"the intent fails, 500 saved":           {shop.Processor, fault("create", "error500", "", 1)},
		"the processor is unavailable":          {shop.Processor, fault("", "unavailable", "", 3)},
		"the booking's answer is lost":          {shop.Carrier, fault("book", "refuse", "after", 1)},
		"the carrier is unavailable":            {shop.Carrier, fault("book", "unavailable", "", 3)},
		"the hand-over is reported twice":       {shop.Carrier, fault("webhook_dispatched", "refuse", "after", 1)},
		"the delivery is reported at the third": {shop.Carrier, fault("webhook_delivered", "refuse", "before", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "mask", 1)
			trouble := shop.misbehave(t, c.simulator, c.rule)
			id := shop.place(t, orderOf(sku, 1))
			shop.await(t, id, "completed")
			if trouble.fired(t) == 0 {
				t.Error("the fault never happened")
			}
			assertMoney(t, id, 1999)
			assertParcel(t, id, "delivered")
		})
	}
}

// An outage spends no attempts: the order waits, for more refusals than a ladder has rungs, and goes on when it is over.
func TestOutsideWorldAway_IsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		simulator, waits string
		rule             rule
		refusals         int // to wait for; what cannot connect is not counted
	}{
		"processor refuses connections": {shop.Processor, "reserved", fault("", "down", "", 0), 0},
		"processor answers 503":         {shop.Processor, "reserved", fault("", "unavailable", "", 0), 8},
		"charge hangs":                  {shop.Processor, "reserved", fault("confirm", "hold", "before", 0), 1},
		"carrier refuses connections":   {shop.Carrier, "paid", fault("", "down", "", 0), 0},
		"carrier answers 503":           {shop.Carrier, "paid", fault("", "unavailable", "", 0), 8},
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "rose", 1)
			trouble := shop.misbehave(t, c.simulator, c.rule)
			id := shop.place(t, orderOf(sku, 1))
			shop.eventually(t, "the order waits as "+c.waits, func() bool {
				o, ok := shop.orderState(t, id)
				return ok && o.State == c.waits && trouble.fired(t) >= c.refusals
			})
			trouble.mend(t)
			shop.await(t, id, "completed")
			assertMoney(t, id, 1999)
			assertParcel(t, id, "delivered")
		})
	}
}
