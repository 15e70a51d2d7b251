package payment

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func TestJoin_StartsTheChargeOnceWhicheverComesFirst(t *testing.T) {
	t.Parallel()
	order := orderCreated("o", "pm_card_visa")
	for name, arrive := range map[string][]events.ETO{
		"order first":        {order, reserved},
		"stock first":        {reserved, order},
		"each twice, mixed":  {order, order, reserved, reserved, order},
		"stock twice, first": {reserved, reserved, order},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tl := newTill(t)
			tl.deliver(t, arrive...)
			tl.wantRow(t, Charging)
			tl.wantTold(t, chargeStarted)
		})
	}
}

func TestJoin_StartsTheChargeOnceWhenBothComeTogether(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		race(
			func() { tl.deliver(t, orderCreated(id, "pm_card_visa")) },
			func() { tl.deliver(t, contracts.InventoryReserved{OrderID: id}) },
			func() { tl.deliver(t, contracts.InventoryReserved{OrderID: id}) },
		)
	}
	tl.stop()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if diff := cmp.Diff([]string{chargeStarted.EventType()}, tl.toldTypes(id)); diff != "" {
			t.Errorf("told about %s (-want +got):\n%s", id, diff)
		}
	}
}

func TestDuplicateDelivery_ChangesNothing(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	for range 3 {
		if v := tl.tr.Deliver(t, chargeStarted, eventstest.WithID("one")); v.Action != transport.Ack {
			t.Errorf("verdict %+v", v)
		}
	}
	if n := tl.processor.count("confirm"); n != 1 {
		t.Errorf("%d confirmations, want 1", n)
	}
	tl.wantTold(t, chargeStarted, processed)
}

func TestCharge_CapturesAndTells(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Charged)
	tl.wantTold(t, chargeStarted, processed)
	if keys := tl.processor.keys("confirm"); len(keys) != 1 || keys[0] != "o/confirm/1" {
		t.Errorf("keys %v", keys)
	}
}

func TestCharge_DeclinedIsARefusal(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_chargeDeclined")
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Failed)
	tl.wantTold(t, chargeStarted, declined)
}

func TestCharge_WithAnUnknownPaymentMethodIsARefusal(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.processor.fail("create", answer(400, `{"type":"invalid_request_error","code":"resource_missing","param":"payment_method"}`))
	tl.charging(t, "pm_nobody")
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Failed)
	tl.wantTold(t, chargeStarted, contracts.PaymentFailed{OrderID: "o", Code: "resource_missing"})
}

func TestCharge_ThatCanNeverSucceedGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.processor.fail("create", answer(400, badRequest))
	tl.charging(t, "pm_card_visa")
	if v := tl.tr.Deliver(t, chargeStarted); v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
		t.Errorf("verdict %+v", v)
	}
	tl.wantRow(t, Charging)
	tl.wantTold(t, chargeStarted)
}

func TestCharge_InACurrencyThatIsNotTakenIsARefusal(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.processor.fail("create", answer(400, `{"type":"invalid_request_error","param":"currency"}`))
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Failed)
	tl.wantTold(t, chargeStarted, contracts.PaymentFailed{OrderID: "o", Code: "invalid_request_error"})
}

func TestCharge_NeitherMadeNorRefusedIsTriedAgain(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_heldBack")
	if v := tl.tr.Deliver(t, chargeStarted); v.Action != transport.Retry {
		t.Errorf("verdict %+v", v)
	}
	tl.wantRow(t, Charging)
	tl.wantTold(t, chargeStarted)
}

// The card cannot be used, but before the intent is closed, another attempt captures it after all.
func TestCharge_CapturedBeforeCancelIsNotDeclined(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.processor.fail("confirm", answer(400, badCard))
	tl.processor.fail("cancel", func(w http.ResponseWriter, _ func()) {
		tl.processor.mu.Lock()
		tl.processor.intents["pi_1"].status = "succeeded"
		tl.processor.mu.Unlock()
		answer(400, stateGone)(w, nil)
	})
	if v := tl.tr.Deliver(t, chargeStarted); v.Action != transport.Retry {
		t.Errorf("verdict %+v", v)
	}
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Charged)
	tl.wantTold(t, chargeStarted, processed)
}

func TestLog_HasALineForEachChangeOfState(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	order := orderCreated("logged", "pm_card_visa")
	stock := contracts.InventoryReserved{OrderID: "logged"}
	tl.deliver(t, order, stock, stock, contracts.ShipmentCancelled{OrderID: "logged"}, contracts.OrderCancelled{OrderID: "logged too"})
	if diff := cmp.Diff([]string{"payment charging", "payment charging_cancel"}, logged.about("logged")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"payment voided"}, logged.about("logged too")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// Whatever becomes of the answers, and with a processor that remembers no key, the order is charged once.
func TestCharge_CapturesOnceWhateverIsLost(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fakeProcessor){
		"create refused":        func(f *fakeProcessor) { f.fail("create", hangUp) },
		"create's answer lost":  func(f *fakeProcessor) { f.fail("create", loseAnswer, loseAnswer) },
		"create answers 500":    func(f *fakeProcessor) { f.fail("create", answerAfter(500, failed500)) },
		"confirm refused":       func(f *fakeProcessor) { f.fail("confirm", hangUp, hangUp) },
		"confirm answers 500":   func(f *fakeProcessor) { f.fail("confirm", answer(500, failed500)) },
		"confirm's answer lost": func(f *fakeProcessor) { f.fail("confirm", loseAnswer) },
		"then unreadable":       func(f *fakeProcessor) { f.fail("confirm", loseAnswer); f.fail("read", hangUp) },
		"500 after the effect":  func(f *fakeProcessor) { f.fail("confirm", answerAfter(500, failed500)); f.fail("read", hangUp) },
		"everything at some day": func(f *fakeProcessor) {
			f.fail("create", hangUp)
			f.fail("confirm", hangUp, loseAnswer)
			f.fail("read", hangUp)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tl := newTill(t)
			tl.charging(t, "pm_card_visa")
			fail(tl.processor)
			for attempt := 1; ; attempt++ {
				v := tl.tr.Deliver(t, chargeStarted, eventstest.WithID("one"), eventstest.OnAttempt(attempt))
				if v.Action == transport.Ack {
					break
				}
				if v.Action != transport.Retry {
					t.Fatalf("attempt %d: verdict %+v", attempt, v)
				}
			}
			if n := tl.processor.captured(); n != 1 {
				t.Errorf("captured %d times", n)
			}
			r := tl.wantRow(t, Charged)
			p := processed
			p.PaymentID = r.IntentID
			tl.wantTold(t, chargeStarted, p)
		})
	}
}

func TestCharge_CapturesOnceUnderConcurrentAttempts(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	attempt := func() {
		for n := 1; n < 5; n++ {
			if v := tl.tr.Deliver(t, chargeStarted, eventstest.OnAttempt(n)); v.Action == transport.Ack {
				return
			}
		}
		t.Error("no attempt came to an end")
	}
	race(attempt, attempt, attempt, attempt, attempt, attempt)
	if n := tl.processor.captured(); n != 1 {
		t.Errorf("captured %d times", n)
	}
	r := tl.wantRow(t, Charged)
	p := processed
	p.PaymentID = r.IntentID
	tl.wantTold(t, chargeStarted, p)
}

func TestCharge_MakesOneIntentOnly(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.processor.fail("confirm", hangUp)
	if v := tl.tr.Deliver(t, chargeStarted); v.Action != transport.Retry {
		t.Errorf("verdict %+v", v)
	}
	tl.deliver(t, chargeStarted)
	if n := tl.processor.count("create"); n != 1 {
		t.Errorf("%d intents were made", n)
	}
	tl.wantTold(t, chargeStarted, processed)
}

func TestCharge_ReplayedLaterDoesNotCall(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted)
	calls := len(tl.processor.calls)
	tl.deliver(t, chargeStarted, chargeStarted) // under ids of their own
	if n := len(tl.processor.calls); n != calls {
		t.Errorf("%d calls more", n-calls)
	}
	tl.wantTold(t, chargeStarted, processed)
}

func TestCharge_TakesNewKeyGeneration(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	saved := answer(500, failed500, "Idempotent-Replayed", "true")
	tl.processor.fail("create", answer(500, failed500), saved)
	tl.processor.fail("confirm", answer(500, failed500), saved)
	for n := 1; n <= 5; n++ {
		if v := tl.tr.Deliver(t, chargeStarted, eventstest.WithID("one"), eventstest.OnAttempt(n)); v.Action == transport.Ack {
			break
		}
	}
	if diff := cmp.Diff([]string{"o/create/1", "o/create/1", "o/create/2"}, tl.processor.keys("create")); diff != "" {
		t.Errorf("create's keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"o/confirm/2", "o/confirm/2", "o/confirm/3"}, tl.processor.keys("confirm")); diff != "" {
		t.Errorf("confirm's keys (-want +got):\n%s", diff)
	}
	tl.wantRow(t, Charged)
	tl.wantTold(t, chargeStarted, processed)
}

func TestCharge_WaitsForAProcessorThatIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]fault{
		"503":                answer(503, failed500),
		"a proxy's page":     func(w http.ResponseWriter, _ func()) { http.Error(w, "Bad Gateway", http.StatusBadGateway) },
		"too many requests":  answer(429, `{"type":"invalid_request_error","code":"rate_limit"}`),
		"a key it disowns":   answer(401, `{"type":"invalid_request_error"}`),
		"503 when confirmed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tl := newTill(t)
			tl.charging(t, "pm_card_visa")
			if away != nil {
				tl.processor.fail("create", away, away)
			} else {
				tl.processor.fail("confirm", answer(503, failed500))
			}
			tl.deliver(t, chargeStarted) // one delivery, so no attempt was spent
			tl.wantTold(t, chargeStarted, processed)
		})
	}
}

func TestCharge_WaitsForUnreachableProcessor(t *testing.T) {
	t.Parallel()
	fake := newFakeProcessor(t)
	gateway := fake.gateway(t)
	dial, dials := gateway.transport.DialContext, atomic.Int32{}
	gateway.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= 2 {
			address = "127.0.0.1:1" // nobody listens there
		}
		return dial(ctx, network, address)
	}
	tl := newTillWith(t, fake, gateway)
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted) // one delivery, so no attempt was spent
	if n := dials.Load(); n < 3 {
		t.Errorf("%d connections were tried", n)
	}
	tl.wantTold(t, chargeStarted, processed)
}

// The carrier's cancellation arrives while the processor is being asked: the row is not locked meanwhile, and the
// money goes back.
func TestCancellation_DuringTheChargeGivesTheMoneyBack(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.processor.fail("confirm", func(_ http.ResponseWriter, effect func()) {
		effect()
		tl.deliver(t, cancelled)
		panic(http.ErrAbortHandler)
	})
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Refunding)
	tl.deliver(t, refundStarted)
	tl.wantRow(t, Refunded)
	tl.wantTold(t, chargeStarted, refundStarted, refunded(contracts.ReasonCustomer))
}

func TestCancellation_DuringADeclinedChargeEndsAsFailed(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_chargeDeclined")
	tl.deliver(t, cancelled)
	tl.wantRow(t, ChargingCancel)
	tl.deliver(t, chargeStarted)
	tl.wantRow(t, Failed)
	tl.wantTold(t, chargeStarted, declined)
}

func TestRefund_FollowsCancelledOrFailedShipment(t *testing.T) {
	t.Parallel()
	for reason, told := range map[string]events.ETO{
		contracts.ReasonCustomer:      cancelled,
		contracts.ReasonUndeliverable: undeliverable,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			tl := newTill(t)
			tl.charging(t, "pm_card_visa")
			tl.deliver(t, chargeStarted, told, told, refundStarted, refundStarted, told, orderCancelled)
			tl.wantRow(t, Refunded)
			if n := len(tl.processor.intents["pi_1"].refunds); n != 1 {
				t.Errorf("%d refunds", n)
			}
			tl.wantTold(t, chargeStarted, processed, refundStarted, refunded(reason))
		})
	}
}

func TestRefund_IsRetriedUntilItLands(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted, cancelled)
	saved := answer(500, failed500, "Idempotent-Replayed", "true")
	tl.processor.fail("refund", hangUp, answer(500, failed500), saved, loseAnswer)
	tl.processor.fail("refunds", hangUp)
	for n := 1; ; n++ {
		v := tl.tr.Deliver(t, refundStarted, eventstest.WithID("one"), eventstest.OnAttempt(n))
		if v.Action == transport.Ack {
			break
		}
		if v.Action != transport.Retry {
			t.Fatalf("attempt %d: verdict %+v", n, v)
		}
	}
	if n := len(tl.processor.intents["pi_1"].refunds); n != 1 {
		t.Errorf("%d refunds", n)
	}
	if diff := cmp.Diff([]string{"o/refund/1", "o/refund/1", "o/refund/1", "o/refund/2"}, tl.processor.keys("refund")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	tl.wantTold(t, chargeStarted, processed, refundStarted, refunded(contracts.ReasonCustomer))
}

func TestRefund_ThatDidNotLandIsMadeAgainUnderANewKey(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.charging(t, "pm_card_visa")
	tl.deliver(t, chargeStarted, cancelled)
	tl.processor.fail("refund", says(`{"id":"re_1","amount":1999,"status":"failed"}`))
	if v := tl.tr.Deliver(t, refundStarted, eventstest.WithID("one")); v.Action != transport.Retry {
		t.Errorf("verdict %+v", v)
	}
	tl.wantRow(t, Refunding)
	tl.deliver(t, refundStarted)
	tl.wantRow(t, Refunded)
	if diff := cmp.Diff([]string{"o/refund/1", "o/refund/2"}, tl.processor.keys("refund")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	tl.wantTold(t, chargeStarted, processed, refundStarted, refunded(contracts.ReasonCustomer))
}

func TestTombstone_CancelledBeforeItArrives(t *testing.T) {
	t.Parallel()
	order := orderCreated("o", "pm_card_visa")
	for name, c := range map[string]struct {
		arrive []events.ETO
		told   []events.ETO
	}{
		"by shipping, first":      {[]events.ETO{cancelled, order, reserved}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by shipping, after one":  {[]events.ETO{order, cancelled, reserved, cancelled}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by shipping, then order": {[]events.ETO{reserved, cancelled, orderCancelled, order}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by order, first":         {[]events.ETO{orderCancelled, order, reserved, cancelled}, nil},
		"by order, after one":     {[]events.ETO{order, orderCancelled, reserved}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tl := newTill(t)
			tl.deliver(t, c.arrive...)
			tl.wantRow(t, Voided)
			tl.wantTold(t, c.told...)
		})
	}
}
