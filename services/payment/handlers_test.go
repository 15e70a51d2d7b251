package payment

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestJoin_RequestsChargeOnceInAnyOrder(t *testing.T) {
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
			s := newFixture(t)
			s.Deliver(t, arrive...)
			s.wantRow(t, Charging)
			s.WantPublished(t, chargeRequested)
		})
	}
}

func TestJoin_ConcurrentEventsRequestOneCharge(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		servicetest.Race(
			func() { s.Deliver(t, orderCreated(id, "pm_card_visa")) },
			func() { s.Deliver(t, contracts.InventoryReserved{OrderID: id}) },
			func() { s.Deliver(t, contracts.InventoryReserved{OrderID: id}) },
		)
	}
	s.Stop()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if diff := cmp.Diff([]string{chargeRequested.EventType()}, s.publishedTypes(id)); diff != "" {
			t.Errorf("published about %s (-want +got):\n%s", id, diff)
		}
	}
}

func TestDuplicate_ChangesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	for range 3 {
		if v := s.Transport.Deliver(t, chargeRequested, eventstest.WithID("one")); v.Action != transport.Ack {
			t.Errorf("outcome %+v", v)
		}
	}
	if n := s.processor.count("confirm"); n != 1 {
		t.Errorf("%d confirmations, want 1", n)
	}
	s.WantPublished(t, chargeRequested, processed)
}

func TestCharge_CapturesAndPublishes(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Charged)
	s.WantPublished(t, chargeRequested, processed)
	if keys := s.processor.keys("confirm"); len(keys) != 1 || keys[0] != "o/confirm/1" {
		t.Errorf("keys %v", keys)
	}
}

func TestCharge_DeclinedCardIsRefusal(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_chargeDeclined")
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Failed)
	s.WantPublished(t, chargeRequested, declined)
}

func TestCharge_UnknownPaymentMethodIsRefusal(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.processor.fail("create", respondError(400, `{"type":"invalid_request_error","code":"resource_missing","param":"payment_method"}`))
	s.charging(t, "pm_nobody")
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Failed)
	s.WantPublished(t, chargeRequested, contracts.PaymentFailed{OrderID: "o", Code: "resource_missing"})
}

func TestCharge_PermanentFailureIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.processor.fail("create", respondError(400, badRequest))
	s.charging(t, "pm_card_visa")
	if v := s.Transport.Deliver(t, chargeRequested); v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
		t.Errorf("outcome %+v", v)
	}
	s.wantRow(t, Charging)
	s.WantPublished(t, chargeRequested)
}

func TestCharge_UnsupportedCurrencyIsRefusal(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.processor.fail("create", respondError(400, `{"type":"invalid_request_error","param":"currency"}`))
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Failed)
	s.WantPublished(t, chargeRequested, contracts.PaymentFailed{OrderID: "o", Code: "invalid_request_error"})
}

func TestCharge_UnknownOutcomeIsRetried(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_heldBack")
	if v := s.Transport.Deliver(t, chargeRequested); v.Action != transport.Retry {
		t.Errorf("outcome %+v", v)
	}
	s.wantRow(t, Charging)
	s.WantPublished(t, chargeRequested)
}

// The card cannot be used, but before the intent is closed, another attempt captures it after all.
func TestCharge_CapturedBeforeCancelIsNotDeclined(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.processor.fail("confirm", respondError(400, badCard))
	s.processor.fail("cancel", func(w http.ResponseWriter, _ func()) {
		s.processor.mu.Lock()
		s.processor.intents["pi_1"].status = "succeeded"
		s.processor.mu.Unlock()
		respondError(400, stateGone)(w, nil)
	})
	if v := s.Transport.Deliver(t, chargeRequested); v.Action != transport.Retry {
		t.Errorf("outcome %+v", v)
	}
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Charged)
	s.WantPublished(t, chargeRequested, processed)
}

func TestLog_HasOneLinePerTransition(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	order := orderCreated("logged", "pm_card_visa")
	stock := contracts.InventoryReserved{OrderID: "logged"}
	s.Deliver(t, order, stock, stock, contracts.ShipmentCancelled{OrderID: "logged"}, contracts.OrderCancelled{OrderID: "logged too"})
	if diff := cmp.Diff([]string{"payment charging", "payment charging_cancel"}, servicetest.LoggedAbout("logged")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"payment voided"}, servicetest.LoggedAbout("logged too")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// The order is charged once, whichever responses are lost, even if the processor ignores idempotency keys.
func TestCharge_LostResponseCapturesOnce(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fakeProcessor){
		"create refused":          func(f *fakeProcessor) { f.fail("create", disconnect) },
		"create's response lost":  func(f *fakeProcessor) { f.fail("create", loseResponse, loseResponse) },
		"create answers 500":      func(f *fakeProcessor) { f.fail("create", respondErrorAfter(500, failed500)) },
		"confirm refused":         func(f *fakeProcessor) { f.fail("confirm", disconnect, disconnect) },
		"confirm answers 500":     func(f *fakeProcessor) { f.fail("confirm", respondError(500, failed500)) },
		"confirm's response lost": func(f *fakeProcessor) { f.fail("confirm", loseResponse) },
		"then unreadable":         func(f *fakeProcessor) { f.fail("confirm", loseResponse); f.fail("read", disconnect) },
		"500 after the effect": func(f *fakeProcessor) {
			f.fail("confirm", respondErrorAfter(500, failed500))
			f.fail("read", disconnect)
		},
		"everything at some day": func(f *fakeProcessor) {
			f.fail("create", disconnect)
			f.fail("confirm", disconnect, loseResponse)
			f.fail("read", disconnect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.charging(t, "pm_card_visa")
			fail(s.processor)
			for attempt := 1; ; attempt++ {
				v := s.Transport.Deliver(t, chargeRequested, eventstest.WithID("one"), eventstest.OnAttempt(attempt))
				if v.Action == transport.Ack {
					break
				}
				if v.Action != transport.Retry {
					t.Fatalf("attempt %d: outcome %+v", attempt, v)
				}
			}
			if n := s.processor.captured(); n != 1 {
				t.Errorf("captured %d times", n)
			}
			r := s.wantRow(t, Charged)
			p := processed
			p.PaymentID = r.IntentID
			s.WantPublished(t, chargeRequested, p)
		})
	}
}

func TestCharge_CapturesOnceUnderConcurrentAttempts(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	attempt := func() {
		for n := 1; n < 5; n++ {
			if v := s.Transport.Deliver(t, chargeRequested, eventstest.OnAttempt(n)); v.Action == transport.Ack {
				return
			}
		}
		t.Error("no attempt came to an end")
	}
	servicetest.Race(attempt, attempt, attempt, attempt, attempt, attempt)
	if n := s.processor.captured(); n != 1 {
		t.Errorf("captured %d times", n)
	}
	r := s.wantRow(t, Charged)
	p := processed
	p.PaymentID = r.IntentID
	s.WantPublished(t, chargeRequested, p)
}

func TestCharge_CreatesOneIntent(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.processor.fail("confirm", disconnect)
	if v := s.Transport.Deliver(t, chargeRequested); v.Action != transport.Retry {
		t.Errorf("outcome %+v", v)
	}
	s.Deliver(t, chargeRequested)
	if n := s.processor.count("create"); n != 1 {
		t.Errorf("%d intents were made", n)
	}
	s.WantPublished(t, chargeRequested, processed)
}

func TestCharge_ReplaySendsNoRequest(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested)
	calls := len(s.processor.calls)
	s.Deliver(t, chargeRequested, chargeRequested) // under ids of their own
	if n := len(s.processor.calls); n != calls {
		t.Errorf("%d calls more", n-calls)
	}
	s.WantPublished(t, chargeRequested, processed)
}

func TestCharge_UsesNewKeyGeneration(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	saved := respondError(500, failed500, "Idempotent-Replayed", "true")
	s.processor.fail("create", respondError(500, failed500), saved)
	s.processor.fail("confirm", respondError(500, failed500), saved)
	for n := 1; n <= 5; n++ {
		if v := s.Transport.Deliver(t, chargeRequested, eventstest.WithID("one"), eventstest.OnAttempt(n)); v.Action == transport.Ack {
			break
		}
	}
	if diff := cmp.Diff([]string{"o/create/1", "o/create/1", "o/create/2"}, s.processor.keys("create")); diff != "" {
		t.Errorf("create's keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"o/confirm/2", "o/confirm/2", "o/confirm/3"}, s.processor.keys("confirm")); diff != "" {
		t.Errorf("confirm's keys (-want +got):\n%s", diff)
	}
	s.wantRow(t, Charged)
	s.WantPublished(t, chargeRequested, processed)
}

func TestCharge_WaitsForUnavailableProcessor(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]fault{
		"503":                respondError(503, failed500),
		"a proxy's page":     func(w http.ResponseWriter, _ func()) { http.Error(w, "Bad Gateway", http.StatusBadGateway) },
		"too many requests":  respondError(429, `{"type":"invalid_request_error","code":"rate_limit"}`),
		"a key it disowns":   respondError(401, `{"type":"invalid_request_error"}`),
		"503 when confirmed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.charging(t, "pm_card_visa")
			if away != nil {
				s.processor.fail("create", away, away)
			} else {
				s.processor.fail("confirm", respondError(503, failed500))
			}
			s.Deliver(t, chargeRequested) // one delivery, so no attempt was spent
			s.WantPublished(t, chargeRequested, processed)
		})
	}
}

// However long the card processor returns nonsense about an order, the order is charged once and refunded in full once it
// no longer does.
func TestProcessor_InvalidResponseIsRetried(t *testing.T) {
	t.Parallel()
	for name, f := range nonsense() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.charging(t, "pm_card_visa")
			s.retried(t, chargeRequested, f, "create")
			if r := s.wantRow(t, Charging); r.IntentID != "" {
				t.Errorf("the intent %q is stored", r.IntentID)
			}
			s.retried(t, chargeRequested, f, "confirm", "read")
			s.retried(t, chargeRequested, f, "read")
			s.wantRow(t, Charging)
			s.Deliver(t, chargeRequested, undeliverable)
			s.retried(t, refundRequested, f, "refunds")
			s.wantRow(t, Refunding)
			s.Deliver(t, refundRequested)
			s.wantRow(t, Refunded)
			s.WantPublished(t, chargeRequested, processed, refundRequested, refunded(contracts.ReasonUndeliverable))
			if a := s.processor.account("o"); a != (account{charges: 1, refunds: 1}) {
				t.Errorf("the order has %+v at the processor", a)
			}
			if redirected := s.processor.count(""); redirected > 0 {
				t.Errorf("%d requests went elsewhere", redirected)
			}
		})
	}
}

// retried checks that an event is retried if the responses to some operations are f, on the first attempt and on a late one.
func (s *fixture) retried(t *testing.T, eto events.ETO, f fault, ops ...string) {
	t.Helper()
	for _, attempt := range []int{1, 100} {
		for _, op := range ops {
			s.processor.fail(op, f)
		}
		v := s.Transport.Deliver(t, eto, eventstest.OnAttempt(attempt))
		if v.Action != transport.Retry {
			t.Errorf("%v, attempt %d: outcome %+v", ops, attempt, v)
		}
		for _, secret := range []string{"pm_card", "sk_test"} {
			if v.Err != nil && strings.Contains(v.Err.Error(), secret) {
				t.Errorf("the error tells %q: %.200v", secret, v.Err)
			}
		}
		s.processor.heal()
	}
}

func TestCharge_WaitsForUnreachableProcessor(t *testing.T) {
	t.Parallel()
	fake := newFakeProcessor(t)
	gateway := fake.gateway(t)
	dial, dials := gateway.transport.DialContext, atomic.Int32{}
	gateway.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= 2 {
			address = "127.0.0.1:1" // no server listens there
		}
		return dial(ctx, network, address)
	}
	s := newFixtureWith(t, fake, gateway)
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested) // one delivery, so no attempt was spent
	if n := dials.Load(); n < 3 {
		t.Errorf("%d connections were tried", n)
	}
	s.WantPublished(t, chargeRequested, processed)
}

// The carrier's cancellation arrives during the call to the processor: the row is not locked during a call, and the
// money goes back.
func TestCancellation_DuringChargeRefunds(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.processor.fail("confirm", func(_ http.ResponseWriter, effect func()) {
		effect()
		s.Deliver(t, cancelled)
		panic(http.ErrAbortHandler)
	})
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Refunding)
	s.Deliver(t, refundRequested)
	s.wantRow(t, Refunded)
	s.WantPublished(t, chargeRequested, refundRequested, refunded(contracts.ReasonCustomer))
}

func TestCancellation_DuringDeclineIsFailed(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_chargeDeclined")
	s.Deliver(t, cancelled)
	s.wantRow(t, ChargingCancel)
	s.Deliver(t, chargeRequested)
	s.wantRow(t, Failed)
	s.WantPublished(t, chargeRequested, declined)
}

func TestRefund_FollowsCancelledOrFailedShipment(t *testing.T) {
	t.Parallel()
	for reason, eto := range map[string]events.ETO{
		contracts.ReasonCustomer:      cancelled,
		contracts.ReasonUndeliverable: undeliverable,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.charging(t, "pm_card_visa")
			s.Deliver(t, chargeRequested, eto, eto, refundRequested, refundRequested, eto, orderCancelled)
			s.wantRow(t, Refunded)
			if n := len(s.processor.intents["pi_1"].refunds); n != 1 {
				t.Errorf("%d refunds", n)
			}
			s.WantPublished(t, chargeRequested, processed, refundRequested, refunded(reason))
		})
	}
}

func TestRefund_RetriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested, cancelled)
	saved := respondError(500, failed500, "Idempotent-Replayed", "true")
	s.processor.fail("refund", disconnect, respondError(500, failed500), saved, loseResponse)
	s.processor.fail("refunds", disconnect)
	for n := 1; ; n++ {
		v := s.Transport.Deliver(t, refundRequested, eventstest.WithID("one"), eventstest.OnAttempt(n))
		if v.Action == transport.Ack {
			break
		}
		if v.Action != transport.Retry {
			t.Fatalf("attempt %d: outcome %+v", n, v)
		}
	}
	if n := len(s.processor.intents["pi_1"].refunds); n != 1 {
		t.Errorf("%d refunds", n)
	}
	if diff := cmp.Diff([]string{"o/refund/1", "o/refund/1", "o/refund/1", "o/refund/2"}, s.processor.keys("refund")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	s.WantPublished(t, chargeRequested, processed, refundRequested, refunded(contracts.ReasonCustomer))
}

func TestRefund_RetriedWithNewKeyAfterFailure(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.charging(t, "pm_card_visa")
	s.Deliver(t, chargeRequested, cancelled)
	s.processor.fail("refund", respondOK(`{"id":"re_1","amount":1999,"status":"failed"}`))
	if v := s.Transport.Deliver(t, refundRequested, eventstest.WithID("one")); v.Action != transport.Retry {
		t.Errorf("outcome %+v", v)
	}
	s.wantRow(t, Refunding)
	s.Deliver(t, refundRequested)
	s.wantRow(t, Refunded)
	if diff := cmp.Diff([]string{"o/refund/1", "o/refund/2"}, s.processor.keys("refund")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	s.WantPublished(t, chargeRequested, processed, refundRequested, refunded(contracts.ReasonCustomer))
}

func TestTombstone_IgnoresLaterEvents(t *testing.T) {
	t.Parallel()
	order := orderCreated("o", "pm_card_visa")
	for name, c := range map[string]struct {
		arrive []events.ETO
		want   []events.ETO
	}{
		"by shipping, first":      {[]events.ETO{cancelled, order, reserved}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by shipping, after one":  {[]events.ETO{order, cancelled, reserved, cancelled}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by shipping, then order": {[]events.ETO{reserved, cancelled, orderCancelled, order}, []events.ETO{voided(contracts.ReasonCustomer)}},
		"by order, first":         {[]events.ETO{orderCancelled, order, reserved, cancelled}, nil},
		"by order, after one":     {[]events.ETO{order, orderCancelled, reserved}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, c.arrive...)
			s.wantRow(t, Voided)
			s.WantPublished(t, c.want...)
		})
	}
}
