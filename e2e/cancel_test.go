package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// A customer may cancel an order at any moment. Each test below holds the order at one moment, with a fault of a simulator
// or by stopping a service. Both act on every order, so that these tests are not parallel.

// wantRequested cancels the order, and wants that to be a request without a result so far.
func wantRequested(t *testing.T, id string) {
	t.Helper()
	r := stack.cancel(t, id)
	var o orderView
	r.decode(t, &o)
	if r.status != http.StatusAccepted || o.State != "cancelling" || o.Reason != "customer" || !strings.Contains(o.Message, "not certain yet") {
		t.Errorf("response to the cancel request: %d %s", r.status, r.body)
	}
}

// wantCancelledByCustomer waits until the order is cancelled and its stock is released.
func wantCancelledByCustomer(t *testing.T, id, sku string, stock int) (o orderView) {
	t.Helper()
	if o = stack.await(t, id, "cancelled"); o.Reason != "customer" {
		t.Errorf("order %s is cancelled with the reason %q", id, o.Reason)
	}
	assertStock(t, sku, stock)
	if r := stack.cancel(t, id); r.status != http.StatusOK {
		t.Errorf("response to a cancel request for a cancelled order: %d %s", r.status, r.body)
	}
	return o
}

// wantTooLate wants the cancellation to be rejected with this explanation.
func wantTooLate(t *testing.T, id, explanation string) {
	t.Helper()
	if r := stack.cancel(t, id); r.status != http.StatusConflict || !strings.Contains(string(r.body), explanation) ||
		!strings.Contains(string(r.body), "too-late-to-cancel") {
		t.Errorf("response to a cancel request for a parcel that is %s: %d %s", explanation, r.status, r.body)
	}
}

func TestCancel_BeforeReservationLeavesTombstone(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	restart := kill(t, "inventory")
	id := stack.place(t, newOrder(sku, 2))
	wantRequested(t, id)
	stack.await(t, id, "cancelled")
	restart()

	o := wantCancelledByCustomer(t, id, sku, 3)
	if !strings.Contains(o.Message, "Nothing was charged") {
		t.Errorf("message %q", o.Message)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	stack.eventually(t, "inventory knows the order", func() bool {
		r, err := stack.do(http.MethodGet, stack.Inventory+"/api/v1/reservations/"+id, nil)
		return err == nil && r.status == http.StatusOK
	})
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled before the reservation")
}

func TestCancel_BeforeChargeKeepsNoMoney(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	restart := kill(t, "payment")
	id := stack.place(t, newOrder(sku, 2))
	stack.awaitState(t, id, "reserved")
	wantRequested(t, id)
	restart()

	o := wantCancelledByCustomer(t, id, sku, 3)
	// The broker decides which of the events payment consumes first: payment does not charge, or it refunds.
	charged := 0
	if strings.Contains(o.Message, "got your money back") {
		charged = 1
	}
	assertMoney(t, id, charged, 0)
	assertParcel(t, id, "")
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled before the charge")
}

func TestCancel_DuringChargeRefunds(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 1))
	id := stack.place(t, newOrder(sku, 2))
	charge.await(t)
	wantRequested(t, id)
	wantRequested(t, id)
	awaitShipment(t, id, "cancelled")
	charge.remove(t)

	o := wantCancelledByCustomer(t, id, sku, 3)
	if o.eventCount("order.cancel_requested") != 1 || o.eventCount("order.confirmed") != 0 || !strings.Contains(o.Message, "got your money back") {
		t.Errorf("order %+v", o)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled during the charge")
}

func TestCancel_DuringDeclinedChargeIsDeclined(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 1))
	req := newOrder(sku, 2)
	req.PaymentMethod = declined
	id := stack.place(t, req)
	charge.await(t)
	wantRequested(t, id)
	awaitShipment(t, id, "cancelled")
	charge.remove(t)

	if o := stack.await(t, id, "cancelled"); o.Reason != "card_declined" {
		t.Errorf("reason %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertStock(t, sku, 3)
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled during a declined charge")
}

func TestCancel_DuringBookingCancelsShipment(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0))
	booking := stack.inject(t, stack.Carrier, newFault("book", "pause", "before", 1))
	id := stack.place(t, newOrder(sku, 2))
	booking.await(t)
	wantRequested(t, id)
	awaitShipment(t, id, "booking_cancel")
	booking.remove(t)

	wantCancelledByCustomer(t, id, sku, 3)
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "cancelled")
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled during the booking")
}

func TestCancel_AfterBookingCancelsAndRefunds(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	dispatch := stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0))
	id := stack.place(t, newOrder(sku, 2))
	dispatch.await(t)
	stack.awaitOrder(t, id, "has a shipment", func(o orderView) bool { return o.eventCount("shipment.created") == 1 })
	wantRequested(t, id)

	wantCancelledByCustomer(t, id, sku, 3)
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "cancelled")
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled once booked")
}

func TestCancel_AfterDispatchIsRejected(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	delivery := stack.inject(t, stack.Carrier, newFault("deliver", "pause", "", 0))
	id := stack.place(t, newOrder(sku, 2))
	o := stack.awaitState(t, id, "shipped")
	if !strings.Contains(o.Message, "on its way") {
		t.Errorf("message %q", o.Message)
	}
	wantTooLate(t, id, "dispatched")
	delivery.remove(t)
	stack.await(t, id, "completed")
	wantTooLate(t, id, "delivered")

	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 1)
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled too late")
}

// The parcel is dispatched, but the report is still on its way. The cancel request goes to the carrier, which rejects it.
func TestCancel_AfterUnreportedDispatchIsDelivered(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 3)
	delivery := stack.inject(t, stack.Carrier, newFault("deliver", "pause", "", 0))
	report := stack.inject(t, stack.Carrier, newFault("webhook_dispatched", "pause", "before", 0))
	id := stack.place(t, newOrder(sku, 2))
	report.await(t)
	stack.awaitState(t, id, "paid")
	wantRequested(t, id)

	stack.awaitState(t, id, "shipped")
	stack.awaitOrder(t, id, "has the rejection", func(o orderView) bool { return o.eventCount("shipment.cancel_refused") == 1 })
	report.remove(t)
	delivery.remove(t)
	stack.await(t, id, "completed")
	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 1)
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled after the dispatch")
}

func TestCancel_ConcurrentRequestsAreOneRequest(t *testing.T) {
	sku := stack.addProduct(t, "opera-glass", 1)
	stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0)) // else the dispatch could come before the request
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 1))
	id := stack.place(t, newOrder(sku, 1))
	charge.await(t)

	// A barrier: all requests and the charge at the same time.
	var start, done sync.WaitGroup
	start.Add(1)
	for range 20 {
		done.Go(func() {
			start.Wait()
			r, err := stack.do(http.MethodPost, stack.Order+"/api/v1/orders/"+id+"/cancel", nil)
			if err != nil || r.status != http.StatusAccepted && r.status != http.StatusOK {
				t.Errorf("%v: %d %s", err, r.status, r.body)
			}
		})
	}
	done.Go(func() { start.Wait(); charge.remove(t) })
	start.Done()
	done.Wait()

	if o := stack.await(t, id, "cancelled"); o.eventCount("order.cancel_requested") != 1 {
		t.Errorf("order %+v", o)
	}
	assertMoney(t, id, 1, 0)
	assertStock(t, sku, 1)
	assertReconciled(t, id)
	assertTrace(t, id, "cancelled by twenty requests at once")
}

func TestCancel_UnknownOrder(t *testing.T) {
	t.Parallel()
	stack.must(t, http.StatusNotFound, http.MethodPost, stack.Order+"/api/v1/orders/"+uuid.NewString()+"/cancel", nil)
}

// awaitShipment blocks until the order's shipment is in the state.
func awaitShipment(t *testing.T, id, state string) {
	t.Helper()
	stack.eventually(t, "the shipment is "+state, func() bool {
		r, err := stack.do(http.MethodGet, stack.Shipping+"/api/v1/shipments/"+id, nil)
		return err == nil && strings.Contains(string(r.body), `"state":"`+state+`"`)
	})
}

// kill kills a service. restart, which is also called at the end of the test, starts it and waits until it is ready.
func kill(t *testing.T, service string) (restart func()) {
	t.Helper()
	if err := stack.Kill(service); err != nil {
		t.Fatal(err)
	}
	restart = sync.OnceFunc(func() {
		if err := stack.Start(service); err != nil {
			t.Error(err)
		}
		if err := stack.awaitReady(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restart)
	return restart
}
