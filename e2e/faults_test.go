package e2e

import (
	"net/http"
	"testing"
	"time"
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
	tr := trouble{shop: s, switches: simulator + "/ops/faults"}
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

// await blocks until the fault has happened.
func (tr trouble) await(t *testing.T) {
	t.Helper()
	tr.shop.eventually(t, "the fault happens", func() bool { return tr.fired(t) > 0 })
}

// fired says how often the fault has happened.
func (tr trouble) fired(t *testing.T) int {
	t.Helper()
	var all struct {
		Rules []rule `json:"faults"`
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
	slow := fault("confirm", "delay", "before", 1)
	slow.Delay = "1s"
	for name, c := range map[string]struct {
		simulator string
		rule      rule
	}{
		"the intent's answer is lost":           {shop.Processor, fault("create", "drop", "after", 1)},
		"the charge lands, its answer is lost":  {shop.Processor, fault("confirm", "drop", "after", 1)},
		"the charge's connection is dropped":    {shop.Processor, fault("confirm", "drop", "before", 2)},
		"the charge is slow":                    {shop.Processor, slow},
		"the charge fails, 500 saved":           {shop.Processor, fault("confirm", "error500", "", 1)},
		"the charge lands, 500 saved":           {shop.Processor, fault("confirm", "error500_after", "", 1)},
		"the intent fails, 500 saved":           {shop.Processor, fault("create", "error500", "", 1)},
		"the processor is unavailable":          {shop.Processor, fault("", "unavailable", "", 3)},
		"the booking's answer is lost":          {shop.Carrier, fault("book", "drop", "after", 1)},
		"the carrier is unavailable":            {shop.Carrier, fault("book", "unavailable", "", 3)},
		"the hand-over is reported twice":       {shop.Carrier, fault("webhook_dispatched", "drop", "after", 1)},
		"the delivery is reported at the third": {shop.Carrier, fault("webhook_delivered", "drop", "before", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "mask", 1)
			trouble := shop.misbehave(t, c.simulator, c.rule)
			id := shop.place(t, orderOf(sku, 1))
			shop.await(t, id, "completed")
			if trouble.fired(t) == 0 {
				t.Error("the fault never happened")
			}
			assertMoney(t, id, 1, 1999)
			assertParcel(t, id, "delivered")
			assertBooks(t, id)
			assertTrace(t, id, "delivered")
		})
	}
}

// A refund is owed: whatever goes wrong with it, it is tried until it has landed, and made once.
func TestRefundInTrouble_LandsOnce(t *testing.T) {
	slow := fault("refund", "delay", "before", 1)
	slow.Delay = "1s"
	for name, rule := range map[string]rule{
		"its answer is lost":          fault("refund", "drop", "after", 2),
		"its connection is dropped":   fault("refund", "drop", "before", 2),
		"it fails, 500 saved":         fault("refund", "error500", "", 1),
		"it lands, 500 saved":         fault("refund", "error500_after", "", 1),
		"the processor is away":       fault("refund", "unavailable", "", 3),
		"it is slow":                  slow,
		"what was captured is hidden": fault("retrieve", "unavailable", "", 3),
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "ticket", 1)
			trouble := shop.misbehave(t, shop.Processor, rule)
			req := orderOf(sku, 1)
			req.ShippingAddress.Country = "AQ" // nothing is delivered there
			id := shop.place(t, req)
			shop.await(t, id, "cancelled")
			if trouble.fired(t) == 0 {
				t.Error("the fault never happened")
			}
			assertMoney(t, id, 1, 0)
			assertStock(t, sku, 1)
			assertBooks(t, id)
			assertTrace(t, id, "undeliverable")
		})
	}
}

// An outage spends no attempts: the order waits, for more refusals than a ladder has rungs, and goes on when it is over.
func TestOutsideWorldAway_IsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		simulator, waits string
		rule             rule
		refusals         int           // to wait for; what cannot connect is not counted,
		lasts            time.Duration // but outlasts the ladder that processes are tested with
	}{
		"processor refuses connections": {shop.Processor, "reserved", fault("", "down", "", 0), 0, 12 * time.Second},
		"processor answers 503":         {shop.Processor, "reserved", fault("", "unavailable", "", 0), 8, 0},
		"charge hangs":                  {shop.Processor, "reserved", fault("confirm", "pause", "before", 0), 1, 0},
		"carrier refuses connections":   {shop.Carrier, "paid", fault("", "down", "", 0), 0, 12 * time.Second},
		"carrier answers 503":           {shop.Carrier, "paid", fault("", "unavailable", "", 0), 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "rose", 1)
			trouble := shop.misbehave(t, c.simulator, c.rule)
			id, began := shop.place(t, orderOf(sku, 1)), time.Now()
			shop.eventually(t, "the order waits as "+c.waits, func() bool {
				o, ok := shop.orderState(t, id)
				return ok && o.State == c.waits && trouble.fired(t) >= c.refusals && time.Since(began) >= c.lasts
			})
			trouble.mend(t)
			shop.await(t, id, "completed")
			assertMoney(t, id, 1, 1999)
			assertParcel(t, id, "delivered")
			assertBooks(t, id)
			assertTrace(t, id, "delivered")
		})
	}
}
