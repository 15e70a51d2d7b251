package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// A customer may change their mind at any moment. In each of these stories that moment is held still, by a switch of a
// simulator or by a service that is away; both are for every order, so that nothing else may run meanwhile: these tests
// are not parallel.

// wantRequested cancels the order, which is only a request.
func wantRequested(t *testing.T, id string) {
	t.Helper()
	a := shop.cancel(t, id)
	var o orderView
	a.decode(t, &o)
	if a.status != http.StatusAccepted || o.State != "cancelling" || o.Reason != "customer" || !strings.Contains(o.Message, "not certain yet") {
		t.Errorf("asked to cancel: %d %s", a.status, a.body)
	}
}

// wantCancelledByCustomer waits for the order's end, and for its stock to be back.
func wantCancelledByCustomer(t *testing.T, id, sku string, stock int) (o orderView) {
	t.Helper()
	if o = shop.await(t, id, "cancelled"); o.Reason != "customer" {
		t.Errorf("order %s is cancelled because of %q", id, o.Reason)
	}
	assertStock(t, sku, stock)
	if a := shop.cancel(t, id); a.status != http.StatusOK {
		t.Errorf("asked again, when it is cancelled: %d %s", a.status, a.body)
	}
	return o
}

func TestCancelledBeforeTheReservation_LeavesATombstone(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	back := away(t, "inventory")
	id := shop.place(t, orderOf(sku, 2))
	wantRequested(t, id)
	shop.await(t, id, "cancelled")
	back()

	o := wantCancelledByCustomer(t, id, sku, 3)
	if !strings.Contains(o.Message, "Nothing was charged") {
		t.Errorf("message %q", o.Message)
	}
	assertMoney(t, id, 0, 0)
	assertParcel(t, id, "")
	shop.eventually(t, "inventory has heard of it", func() bool {
		a, err := shop.do(http.MethodGet, shop.Inventory+"/api/v1/reservations/"+id, nil)
		return err == nil && a.status == http.StatusOK
	})
	assertBooks(t, id)
	assertTrace(t, id, "cancelled before the reservation")
}

func TestCancelledBeforeTheCharge_KeepsNothing(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	back := away(t, "payment")
	id := shop.place(t, orderOf(sku, 2))
	shop.awaitState(t, id, "reserved")
	wantRequested(t, id)
	back()

	o := wantCancelledByCustomer(t, id, sku, 3)
	// Which of the events payment hears first is up to the broker: it never charges, or gives the money back.
	charged := 0
	if strings.Contains(o.Message, "got your money back") {
		charged = 1
	}
	assertMoney(t, id, charged, 0)
	assertParcel(t, id, "")
	assertBooks(t, id)
	assertTrace(t, id, "cancelled before the charge")
}

func TestCancelledDuringTheCharge_GivesTheMoneyBack(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 1))
	id := shop.place(t, orderOf(sku, 2))
	held.await(t)
	wantRequested(t, id)
	wantRequested(t, id)
	awaitShipment(t, id, "cancelled")
	held.mend(t)

	o := wantCancelledByCustomer(t, id, sku, 3)
	if o.heard("order.cancel_requested") != 1 || o.heard("order.confirmed") != 0 || !strings.Contains(o.Message, "got your money back") {
		t.Errorf("order %+v", o)
	}
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "")
	assertBooks(t, id)
	assertTrace(t, id, "cancelled during the charge")
}

func TestCancelledDuringADeclinedCharge_IsDeclined(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 1))
	req := orderOf(sku, 2)
	req.PaymentMethod = declined
	id := shop.place(t, req)
	held.await(t)
	wantRequested(t, id)
	awaitShipment(t, id, "cancelled")
	held.mend(t)

	if o := shop.await(t, id, "cancelled"); o.Reason != "card_declined" {
		t.Errorf("reason %q", o.Reason)
	}
	assertMoney(t, id, 0, 0)
	assertStock(t, sku, 3)
	assertBooks(t, id)
	assertTrace(t, id, "cancelled during a declined charge")
}

func TestCancelledDuringTheBooking_CancelsTheParcel(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0))
	held := shop.misbehave(t, shop.Carrier, fault("book", "pause", "before", 1))
	id := shop.place(t, orderOf(sku, 2))
	held.await(t)
	wantRequested(t, id)
	awaitShipment(t, id, "booking_cancel")
	held.mend(t)

	wantCancelledByCustomer(t, id, sku, 3)
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "cancelled")
	assertBooks(t, id)
	assertTrace(t, id, "cancelled during the booking")
}

func TestCancelledOnceBooked_CancelsTheParcelAndGivesTheMoneyBack(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	held := shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0))
	id := shop.place(t, orderOf(sku, 2))
	held.await(t)
	shop.eventually(t, "the order knows of its parcel", func() bool {
		o, ok := shop.orderState(t, id)
		return ok && o.heard("shipment.created") == 1
	})
	wantRequested(t, id)

	wantCancelledByCustomer(t, id, sku, 3)
	assertMoney(t, id, 1, 0)
	assertParcel(t, id, "cancelled")
	assertBooks(t, id)
	assertTrace(t, id, "cancelled once booked")
}

// The carrier is asked, and its answer is lost, is an error, or takes its time; the parcel is cancelled once.
func TestCancellationInTrouble_EndsCancelled(t *testing.T) {
	slow := fault("cancel", "delay", "before", 1)
	slow.Delay = "1s"
	for name, rule := range map[string]rule{
		"its answer is lost":        fault("cancel", "drop", "after", 2),
		"its connection is dropped": fault("cancel", "drop", "before", 2),
		"the carrier fails":         fault("cancel", "error500", "", 2),
		"the carrier is away":       fault("cancel", "unavailable", "", 3),
		"it is slow":                slow,
	} {
		t.Run(name, func(t *testing.T) {
			sku := shop.stock(t, "opera-glass", 1)
			held := shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0))
			trouble := shop.misbehave(t, shop.Carrier, rule)
			id := shop.place(t, orderOf(sku, 1))
			held.await(t)
			wantRequested(t, id)

			wantCancelledByCustomer(t, id, sku, 1)
			if trouble.fired(t) == 0 {
				t.Error("the fault never happened")
			}
			assertMoney(t, id, 1, 0)
			assertParcel(t, id, "cancelled")
			assertBooks(t, id)
			assertTrace(t, id, "cancelled once booked")
		})
	}
}

func TestCancelledTooLate_IsRefusedAndDelivered(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	held := shop.misbehave(t, shop.Carrier, fault("deliver", "pause", "", 0))
	id := shop.place(t, orderOf(sku, 2))
	o := shop.awaitState(t, id, "shipped")
	if !strings.Contains(o.Message, "on its way") {
		t.Errorf("message %q", o.Message)
	}
	wantTooLate(t, id, "dispatched")
	held.mend(t)
	shop.await(t, id, "completed")
	wantTooLate(t, id, "delivered")

	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 1)
	assertBooks(t, id)
	assertTrace(t, id, "cancelled too late")
}

// The parcel has left, and nobody has heard of it yet. The wish is passed on, and the carrier says that it is too late.
func TestCancelledAfterAHandOverThatNobodyHasHeardOf_IsDelivered(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 3)
	delivery := shop.misbehave(t, shop.Carrier, fault("deliver", "pause", "", 0))
	report := shop.misbehave(t, shop.Carrier, fault("webhook_dispatched", "pause", "before", 0))
	id := shop.place(t, orderOf(sku, 2))
	report.await(t)
	shop.awaitState(t, id, "paid")
	wantRequested(t, id)

	o := shop.awaitState(t, id, "shipped")
	shop.eventually(t, "the refusal is heard", func() bool {
		o, _ = shop.orderState(t, id)
		return o.heard("shipment.cancel_refused") == 1
	})
	report.mend(t)
	delivery.mend(t)
	shop.await(t, id, "completed")
	assertMoney(t, id, 1, 2*1999)
	assertParcel(t, id, "delivered")
	assertStock(t, sku, 1)
	assertBooks(t, id)
	assertTrace(t, id, "cancelled after the hand-over")
}

func TestCancelledTwentyTimesAtOnce_IsAskedForOnce(t *testing.T) {
	sku := shop.stock(t, "opera-glass", 1)
	shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0)) // else the parcel might be gone before the wish arrives
	held := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 1))
	id := shop.place(t, orderOf(sku, 1))
	held.await(t)

	// A barrier: all at once, and the charge with them.
	var start, done sync.WaitGroup
	start.Add(1)
	for range 20 {
		done.Go(func() {
			start.Wait()
			a, err := shop.do(http.MethodPost, shop.Order+"/api/v1/orders/"+id+"/cancel", nil)
			if err != nil || a.status != http.StatusAccepted && a.status != http.StatusOK {
				t.Errorf("%v: %d %s", err, a.status, a.body)
			}
		})
	}
	done.Go(func() { start.Wait(); held.mend(t) })
	start.Done()
	done.Wait()

	if o := shop.await(t, id, "cancelled"); o.heard("order.cancel_requested") != 1 {
		t.Errorf("order %+v", o)
	}
	assertMoney(t, id, 1, 0)
	assertStock(t, sku, 1)
	assertBooks(t, id)
	assertTrace(t, id, "cancelled by twenty at once")
}

func TestCancel_OfAnOrderThatIsNotThere(t *testing.T) {
	shop.must(t, http.StatusNotFound, http.MethodPost, shop.Order+"/api/v1/orders/"+uuid.NewString()+"/cancel", nil)
}

func wantTooLate(t *testing.T, id, because string) {
	t.Helper()
	if a := shop.cancel(t, id); a.status != http.StatusConflict || !strings.Contains(string(a.body), because) ||
		!strings.Contains(string(a.body), "too-late-to-cancel") {
		t.Errorf("asked to cancel when it is %s: %d %s", because, a.status, a.body)
	}
}

// awaitShipment blocks until shipping has the order's shipment in the state.
func awaitShipment(t *testing.T, id, state string) {
	t.Helper()
	shop.eventually(t, "the shipment is "+state, func() bool {
		a, err := shop.do(http.MethodGet, shop.Shipping+"/api/v1/shipments/"+id, nil)
		return err == nil && strings.Contains(string(a.body), `"state":"`+state+`"`)
	})
}

// away ends a service without warning, until back or the end of the test.
func away(t *testing.T, service string) (back func()) {
	t.Helper()
	if err := shop.Kill(service); err != nil {
		t.Fatal(err)
	}
	back = sync.OnceFunc(func() {
		if err := shop.Start(service); err != nil {
			t.Error(err)
		}
		if err := shop.awaitReady(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(back)
	return back
}
