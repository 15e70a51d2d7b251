package e2e

import (
	"net/http"
	"testing"
	"time"
)

// fault is a fault of a simulator.
type fault struct {
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

func newFault(operation, action, when string, times int) fault {
	f := fault{Action: action, When: when, Times: times}
	f.Match.Operation = operation
	return f
}

func newDelay(operation, delay string, times int) fault {
	f := newFault(operation, "delay", "before", times)
	f.Delay = delay
	return f
}

// activeFault is a fault that a simulator has.
type activeFault struct {
	stack  *Stack
	faults string // URL of the simulator's faults
	id     string
}

// inject adds a fault to a simulator, until remove or the end of the test. A fault acts on every order, so that no other
// test may run at the same time: tests that inject faults are not parallel.
func (s *Stack) inject(t *testing.T, simulator string, f fault) activeFault {
	t.Helper()
	active := activeFault{stack: s, faults: simulator + "/ops/faults"}
	s.must(t, http.StatusCreated, http.MethodPost, active.faults, f).decode(t, &f)
	active.id = f.ID
	t.Cleanup(func() { active.remove(t) })
	return active
}

func (f activeFault) remove(t *testing.T) {
	t.Helper()
	if _, err := f.stack.do(http.MethodDelete, f.faults+"/"+f.id, nil); err != nil {
		t.Error(err)
	}
}

// await blocks until the fault has acted.
func (f activeFault) await(t *testing.T) {
	t.Helper()
	f.stack.eventually(t, "the fault acts", func() bool { return f.fired(t) > 0 })
}

// fired returns how often the fault has acted.
func (f activeFault) fired(t *testing.T) int {
	t.Helper()
	var all struct {
		Faults []fault `json:"faults"`
	}
	f.stack.must(t, http.StatusOK, http.MethodGet, f.faults, nil).decode(t, &all)
	for _, known := range all.Faults {
		if known.ID == f.id {
			return known.Fired
		}
	}
	return 0
}

func TestFault_OrderIsPaidAndDeliveredOnce(t *testing.T) {
	for name, c := range map[string]struct {
		simulator string
		fault     fault
	}{
		"response to the intent is lost":            {stack.Processor, newFault("create", "drop", "after", 1)},
		"response to the charge is lost":            {stack.Processor, newFault("confirm", "drop", "after", 1)},
		"request to charge is lost":                 {stack.Processor, newFault("confirm", "drop", "before", 2)},
		"charge is slow":                            {stack.Processor, newDelay("confirm", "1s", 1)},
		"charge fails with status 500":              {stack.Processor, newFault("confirm", "error500", "", 1)},
		"charge succeeds with status 500":           {stack.Processor, newFault("confirm", "error500_after", "", 1)},
		"intent fails with status 500":              {stack.Processor, newFault("create", "error500", "", 1)},
		"nonsense about the intent":                 {stack.Processor, newFault("create", "nonsense", "before", 2)},
		"nonsense about the charge":                 {stack.Processor, newFault("confirm", "nonsense", "after", 1)},
		"nonsense about everything":                 {stack.Processor, newFault("", "nonsense", "after", 3)},
		"nonsense about the booking":                {stack.Carrier, newFault("book", "nonsense", "after", 2)},
		"processor is unavailable":                  {stack.Processor, newFault("", "unavailable", "", 3)},
		"response to the booking is lost":           {stack.Carrier, newFault("book", "drop", "after", 1)},
		"carrier is unavailable":                    {stack.Carrier, newFault("book", "unavailable", "", 3)},
		"dispatch is reported twice":                {stack.Carrier, newFault("webhook_dispatched", "drop", "after", 1)},
		"delivery is reported at the third attempt": {stack.Carrier, newFault("webhook_delivered", "drop", "before", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			sku := stack.addProduct(t, "mask", 1)
			injected := stack.inject(t, c.simulator, c.fault)
			id := stack.place(t, newOrder(sku, 1))
			stack.await(t, id, "completed")
			wantFired(t, injected)
			assertMoney(t, id, 1, 1999)
			assertParcel(t, id, "delivered")
			assertReconciled(t, id)
			assertTrace(t, id, "delivered")
		})
	}
}

// A refund is retried until it succeeds, and made once.
func TestFault_RefundIsMadeOnce(t *testing.T) {
	for name, f := range map[string]fault{
		"response is lost":                 newFault("refund", "drop", "after", 2),
		"request is lost":                  newFault("refund", "drop", "before", 2),
		"refund fails with status 500":     newFault("refund", "error500", "", 1),
		"refund succeeds with status 500":  newFault("refund", "error500_after", "", 1),
		"processor is unavailable":         newFault("refund", "unavailable", "", 3),
		"nonsense about the refund":        newFault("refund", "nonsense", "after", 2),
		"refund is slow":                   newDelay("refund", "1s", 1),
		"charge cannot be read beforehand": newFault("retrieve", "unavailable", "", 3),
	} {
		t.Run(name, func(t *testing.T) {
			sku := stack.addProduct(t, "ticket", 1)
			injected := stack.inject(t, stack.Processor, f)
			req := newOrder(sku, 1)
			req.ShippingAddress.Country = "AQ" // the carrier does not deliver there
			id := stack.place(t, req)
			stack.await(t, id, "cancelled")
			wantFired(t, injected)
			assertMoney(t, id, 1, 0)
			assertStock(t, sku, 1)
			assertReconciled(t, id)
			assertTrace(t, id, "undeliverable")
		})
	}
}

// The carrier's response to a cancellation is lost, an error, or late. The shipment is cancelled once.
func TestFault_CancellationIsMadeOnce(t *testing.T) {
	for name, f := range map[string]fault{
		"response is lost":       newFault("cancel", "drop", "after", 2),
		"request is lost":        newFault("cancel", "drop", "before", 2),
		"status is 500":          newFault("cancel", "error500", "", 2),
		"carrier is unavailable": newFault("cancel", "unavailable", "", 3),
		"response is slow":       newDelay("cancel", "1s", 1),
	} {
		t.Run(name, func(t *testing.T) {
			sku := stack.addProduct(t, "opera-glass", 1)
			dispatch := stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0))
			injected := stack.inject(t, stack.Carrier, f)
			id := stack.place(t, newOrder(sku, 1))
			dispatch.await(t)
			wantRequested(t, id)

			wantCancelledByCustomer(t, id, sku, 1)
			wantFired(t, injected)
			assertMoney(t, id, 1, 0)
			assertParcel(t, id, "cancelled")
			assertReconciled(t, id)
			assertTrace(t, id, "cancelled once booked")
		})
	}
}

func wantFired(t *testing.T, f activeFault) {
	t.Helper()
	if f.fired(t) == 0 {
		t.Error("the fault has not acted")
	}
}

// An outage uses up no attempts: the order waits for longer than all retry delays, and proceeds afterwards.
func TestOutage_OrderWaitsAndCompletes(t *testing.T) {
	for name, c := range map[string]struct {
		simulator, waits string
		fault            fault
		rejections       int           // to wait for: more than there are retry delays
		duration         time.Duration // of an outage whose rejections are not counted: longer than all retry delays of processes
	}{
		"processor refuses connections": {stack.Processor, "reserved", newFault("", "down", "", 0), 0, 12 * time.Second},
		"processor returns 503":         {stack.Processor, "reserved", newFault("", "unavailable", "", 0), 8, 0},
		"charge has no response":        {stack.Processor, "reserved", newFault("confirm", "pause", "before", 0), 1, 0},
		"carrier refuses connections":   {stack.Carrier, "paid", newFault("", "down", "", 0), 0, 12 * time.Second},
		"carrier returns 503":           {stack.Carrier, "paid", newFault("", "unavailable", "", 0), 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.rejections != 1 {
				long(t)
			}
			sku := stack.addProduct(t, "rose", 1)
			outage := stack.inject(t, c.simulator, c.fault)
			id, began := stack.place(t, newOrder(sku, 1)), time.Now()
			stack.eventually(t, "the order waits as "+c.waits, func() bool {
				o, ok := stack.orderState(t, id)
				return ok && o.State == c.waits && outage.fired(t) >= c.rejections && time.Since(began) >= c.duration
			})
			outage.remove(t)
			stack.await(t, id, "completed")
			assertMoney(t, id, 1, 1999)
			assertParcel(t, id, "delivered")
			assertReconciled(t, id)
			assertTrace(t, id, "delivered")
		})
	}
}
