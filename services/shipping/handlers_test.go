package shipping

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
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestJoin_RequestsBookingOnceInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, arrive := range map[string][]events.ETO{
		"order first":       {order, paid},
		"payment first":     {paid, order},
		"each twice, mixed": {paid, paid, order, order, paid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, arrive...)
			r := s.wantRow(t, Booking)
			if diff := cmp.Diff(&home, r.Shipment.Address); diff != "" {
				t.Errorf("address (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(goods, r.Shipment.Items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			s.WantPublished(t, bookingRequested)
		})
	}
}

func TestJoin_ConcurrentEventsRequestOneBooking(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, id := range ids {
		created := order
		created.OrderID = id
		servicetest.Race(
			func() { s.Deliver(t, created) },
			func() { s.Deliver(t, contracts.PaymentProcessed{OrderID: id}) },
			func() { s.Deliver(t, contracts.PaymentProcessed{OrderID: id}) },
		)
	}
	s.Stop()
	started := map[string]int{}
	for _, e := range s.Transport.Published() {
		started[e.Subject]++
	}
	for _, id := range ids {
		if started[id] != 1 {
			t.Errorf("the booking of %s was started %d times", id, started[id])
		}
	}
}

func TestBooking_PublishesEveryStep(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid, bookingRequested)
	s.wantRow(t, Booked)
	s.report(t, WebhookDispatched, WebhookDelivered)
	s.wantRow(t, Delivered)
	s.WantPublished(t, bookingRequested, booked, dispatched, delivered)
}

func TestBooking_UndeliverableAddressIsRefusal(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.carrier.fail("book", respond(422, `{"code":"undeliverable","detail":"no such address"}`))
	s.Deliver(t, order, paid, bookingRequested, customerCancels, orderIsCancelled)
	s.wantRow(t, Failed)
	s.WantPublished(t, bookingRequested, contracts.ShipmentFailed{OrderID: "o", Detail: "no such address"})
}

func TestBooking_PermanentFailureIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.carrier.fail("book", respond(400, `{"code":"invalid_request"}`))
	s.Deliver(t, order, paid)
	if v := s.Transport.Deliver(t, bookingRequested); v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
		t.Errorf("outcome %+v", v)
	}
	s.wantRow(t, Booking)
	s.WantPublished(t, bookingRequested)
}

func TestBooking_MissingAddressIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid)
	if err := s.DB.Exec("UPDATE shipments SET address = NULL").Error; err != nil {
		t.Fatal(err)
	}
	if v := s.Transport.Deliver(t, bookingRequested); v.Action != transport.DeadLetter || v.Reason != transport.ReasonPermanent {
		t.Errorf("outcome %+v", v)
	}
	s.wantRow(t, Booking)
	s.WantPublished(t, bookingRequested)
}

func TestLog_HasOneLinePerTransition(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	created := order
	created.OrderID = "logged"
	payment := contracts.PaymentProcessed{OrderID: "logged"}
	s.Deliver(t, created, payment, payment, contracts.OrderCancelRequested{OrderID: "logged", Reason: contracts.ReasonCustomer},
		contracts.OrderCancelled{OrderID: "logged too"})
	if diff := cmp.Diff([]string{"shipment booking", "shipment booking_cancel"}, servicetest.LoggedAbout("logged")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shipment cancelled"}, servicetest.LoggedAbout("logged too")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestBooking_RetriedUntilResponse(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid)
	s.carrier.fail("book", disconnect, loseResponse, respond(500, `{}`))
	for n := 1; n <= 3; n++ {
		v := s.Transport.Deliver(t, bookingRequested, eventstest.WithID("one"), eventstest.OnAttempt(n))
		if v.Action != transport.Retry {
			t.Errorf("attempt %d: outcome %+v", n, v)
		}
	}
	s.Deliver(t, bookingRequested, bookingRequested) // the second one finds nothing to do
	if n := s.carrier.count("book"); n != 4 {
		t.Errorf("asked %d times, want 4", n)
	}
	s.WantPublished(t, bookingRequested, booked)
}

func TestBooking_WaitsForUnavailableCarrier(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]fault{
		"503":               respond(503, `{"code":"unavailable"}`),
		"a proxy's page":    page(502),
		"too many requests": respond(429, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.carrier.fail("book", away, away)
			s.carrier.fail("cancel", away)
			s.Deliver(t, order, paid, bookingRequested, customerCancels, cancellationRequested) // one delivery each
			s.WantPublished(t, bookingRequested, booked, cancellationRequested, cancelled(contracts.ReasonCustomer))
		})
	}
}

// However long the carrier returns nonsense about an order, the order ends well once it no longer does.
func TestCarrier_InvalidResponseIsRetried(t *testing.T) {
	t.Parallel()
	for name, f := range nonsense() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, order, paid)
			s.retried(t, "book", f, bookingRequested)
			s.wantRow(t, Booking)
			s.Deliver(t, bookingRequested, customerCancels)
			s.retried(t, "cancel", f, cancellationRequested)
			s.wantRow(t, Cancelling)
			s.Deliver(t, cancellationRequested)
			s.wantRow(t, Cancelled)
			s.WantPublished(t, bookingRequested, booked, cancellationRequested, cancelled(contracts.ReasonCustomer))
		})
	}
}

// retried checks that an event is retried if the carrier's response is f, on the first attempt and on a late one.
func (s *fixture) retried(t *testing.T, op string, f fault, eto events.ETO) {
	t.Helper()
	for _, attempt := range []int{1, 100} {
		s.carrier.fail(op, f)
		if v := s.Transport.Deliver(t, eto, eventstest.OnAttempt(attempt)); v.Action != transport.Retry {
			t.Errorf("attempt %d: outcome %+v", attempt, v)
		}
	}
}

func TestBooking_WaitsForUnreachableCarrier(t *testing.T) {
	t.Parallel()
	fake := newFakeCarrier(t)
	carrier := fake.client(t)
	dial, dials := carrier.transport.DialContext, atomic.Int32{}
	carrier.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= 2 {
			address = "127.0.0.1:1" // no server listens there
		}
		return dial(ctx, network, address)
	}
	s := newFixtureWith(t, fake, carrier)
	s.Deliver(t, order, paid, bookingRequested) // one delivery, so no attempt was spent
	if n := dials.Load(); n < 3 {
		t.Errorf("%d connections were tried", n)
	}
	s.WantPublished(t, bookingRequested, booked)
}

// The customer cancels during the call to the carrier: the row is not locked during a call.
func TestCancel_DuringBookingAsksCarrierAfterwards(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid)
	s.carrier.fail("book", func(w http.ResponseWriter, effect func()) {
		effect()
		s.Deliver(t, customerCancels)
		respond(200, `{"id":"shp_o","state":"booked"}`)(w, nil)
	})
	s.Deliver(t, bookingRequested)
	s.wantRow(t, Cancelling)
	s.Deliver(t, cancellationRequested)
	s.wantRow(t, Cancelled)
	s.WantPublished(t, bookingRequested, cancellationRequested, cancelled(contracts.ReasonCustomer))
}

func TestCancel_AsksCarrierOnce(t *testing.T) {
	t.Parallel()
	for state, c := range map[string]struct {
		ends State
		want []events.ETO
	}{
		"booked":     {Cancelled, []events.ETO{cancelled(contracts.ReasonCustomer)}},
		"cancelled":  {Cancelled, []events.ETO{cancelled(contracts.ReasonCustomer)}},
		"dispatched": {Dispatched, []events.ETO{dispatched, refusedDispatched}},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, order, paid, bookingRequested, customerCancels)
			s.carrier.set("shp_o", state)
			s.carrier.fail("cancel", loseResponse)
			if v := s.Transport.Deliver(t, cancellationRequested, eventstest.WithID("one")); v.Action != transport.Retry {
				t.Errorf("outcome %+v", v)
			}
			s.Deliver(t, cancellationRequested, cancellationRequested) // the second one finds nothing to do
			if n := s.carrier.count("cancel"); n != 2 {
				t.Errorf("asked %d times, want 2", n)
			}
			s.wantRow(t, c.ends)
			s.WantPublished(t, append([]events.ETO{bookingRequested, booked, cancellationRequested}, c.want...)...)
		})
	}
}

// The webhook overtakes the carrier's response to the cancellation: both report the same, which is published once.
func TestCancel_TooLateIsPublishedOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid, bookingRequested, customerCancels)
	s.carrier.set("shp_o", "dispatched")
	s.carrier.fail("cancel", func(w http.ResponseWriter, _ func()) {
		s.report(t, WebhookDelivered, WebhookDispatched)
		respond(409, `{"code":"dispatched","id":"shp_o","tracking":"QD1"}`)(w, nil)
	})
	s.Deliver(t, cancellationRequested)
	s.wantRow(t, Delivered)
	s.WantPublished(t, bookingRequested, booked, cancellationRequested, dispatched, refusedDispatched, delivered)
}

func TestCancel_DeadlineYieldsToPayment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrive []events.ETO
		state  State
		want   []events.ETO
	}{
		"nothing seen":     {[]events.ETO{deadlineCancels, order, paid}, Cancelled, []events.ETO{cancelled(contracts.ReasonDeadline)}},
		"order seen":       {[]events.ETO{order, deadlineCancels, paid}, Cancelled, []events.ETO{cancelled(contracts.ReasonDeadline)}},
		"payment seen":     {[]events.ETO{paid, deadlineCancels, order}, Booking, []events.ETO{refusedPaid, bookingRequested}},
		"being booked":     {[]events.ETO{paid, order, deadlineCancels}, Booking, []events.ETO{bookingRequested, refusedPaid}},
		"booked":           {[]events.ETO{paid, order, bookingRequested, deadlineCancels}, Booked, []events.ETO{bookingRequested, booked, refusedPaid}},
		"by the customer":  {[]events.ETO{paid, customerCancels, order, customerCancels}, Cancelled, []events.ETO{cancelled(contracts.ReasonCustomer)}},
		"after the end":    {[]events.ETO{orderIsCancelled, order, paid, deadlineCancels}, Cancelled, nil},
		"order ends later": {[]events.ETO{order, orderIsCancelled, paid}, Cancelled, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, c.arrive...)
			s.wantRow(t, c.state)
			s.WantPublished(t, c.want...)
		})
	}
}
