package shipping

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func orderFor(id string) contracts.OrderCreated {
	created := order
	created.OrderID = id
	return created
}

func paidFor(id string) contracts.PaymentProcessed {
	return contracts.PaymentProcessed{OrderID: id, PaymentID: "pi_1"}
}

func bookingRequestedFor(id string) contracts.ShipmentBookingRequested {
	return contracts.ShipmentBookingRequested{OrderID: id}
}

func cancellationRequestedFor(id string) contracts.ShipmentCancellationRequested {
	return contracts.ShipmentCancellationRequested{OrderID: id}
}

func customerCancelsFor(id string) contracts.OrderCancelRequested {
	return contracts.OrderCancelRequested{OrderID: id, Reason: contracts.ReasonCustomer}
}

func deadlineCancelsFor(id string) contracts.OrderCancelRequested {
	return contracts.OrderCancelRequested{OrderID: id, Reason: contracts.ReasonDeadline}
}

func parcelOf(id string) string { return "shp_" + id }

// dispatch returns a function by which the carrier dispatches a parcel that is still booked, and sends the webhook.
func (s *fixture) dispatch(t *testing.T, id string) func() {
	return func() {
		if s.carrier.dispatch(parcelOf(id)) {
			s.reportOf(t, id, WebhookDispatched)
		}
	}
}

// settle delivers the requests of shipping to itself until none is left, see [servicetest.Harness.DeliverRequests].
func (s *fixture) settle(t *testing.T) {
	t.Helper()
	s.DeliverRequests(t, []events.ETO{bookingRequested, cancellationRequested})
}

// ending is the final state of a shipment: its row, its parcel at the carrier, and its published events, without the
// intermediate ones, whose publication depends on which event came first.
type ending struct {
	State     State
	Parcel    string // at the carrier
	Published []string
	Reason    string
	Tracking  string
}

func ended(state State, parcel, reason string, published ...events.ETO) ending {
	e := ending{State: state, Parcel: parcel, Reason: reason}
	if state == Dispatched || state == Delivered {
		e.Tracking = dispatched.Tracking
	}
	for _, eto := range published {
		e.Published = append(e.Published, describe(eto.EventType(), eto))
	}
	return e
}

func describe(eventType string, eto events.ETO) string {
	if refusal, ok := eto.(contracts.ShipmentCancelRefused); ok {
		return eventType + " because " + refusal.Because
	}
	return eventType
}

// The endings.
var (
	endedNeverBegun = ended(Cancelled, "", contracts.ReasonCustomer, cancelled(""))
	endedOverdue    = ended(Cancelled, "", contracts.ReasonDeadline, cancelled(""))
	endedCancelled  = ended(Cancelled, "cancelled", contracts.ReasonCustomer, cancelled(""))
	endedDispatched = ended(Dispatched, "dispatched", "", dispatched, refusedDispatched)
	endedDelivered  = ended(Delivered, "delivered", "", dispatched, refusedDispatched, delivered)
	endedBooked     = ended(Booked, "booked", "", refusedPaid)
)

// with returns the ending with one more event published before it.
func (e ending) with(eto events.ETO) ending {
	e.Published = append([]string{describe(eto.EventType(), eto)}, e.Published...)
	return e
}

// wantEnding checks that the order has ended in one of these ways, and returns which.
func (s *fixture) wantEnding(t *testing.T, id string, possible ...ending) int {
	t.Helper()
	r, err := findShipment(s.DB, id)
	if err != nil {
		t.Fatal(err)
	}
	got := ending{State: r.Shipment.State, Parcel: s.carrier.state(parcelOf(id)), Reason: r.Shipment.Reason, Tracking: r.Shipment.Tracking}
	steps := map[string]int{}
	for _, e := range s.Transport.Published() {
		switch {
		case e.Subject != id:
		case e.Type == bookingRequested.EventType(), e.Type == booked.EventType(), e.Type == cancellationRequested.EventType():
			steps[e.Type]++
		case e.Type == refusedPaid.EventType():
			got.Published = append(got.Published, describe(e.Type, eventstest.Decode[contracts.ShipmentCancelRefused](t, e)))
		default:
			got.Published = append(got.Published, e.Type)
		}
	}
	if n := steps[bookingRequested.EventType()]; n > 1 || n == 0 && got.Parcel != "" {
		t.Errorf("the booking of %s, now %q at the carrier, was started %d times", id, got.Parcel, n)
	}
	if steps[booked.EventType()] > 1 || steps[cancellationRequested.EventType()] > 1 {
		t.Errorf("published about %s: %v", id, steps)
	}
	if said := servicetest.LoggedAbout(id); slices.Contains(said, "the carrier has a parcel that must not leave") {
		t.Errorf("log about %s: %q", id, said)
	}
	if r.Shipment.Address != nil && got.State != Booked {
		t.Errorf("the address of %s is still kept while %s", id, got.State)
	}
	for i, e := range possible {
		if cmp.Equal(e, got) {
			return i
		}
	}
	t.Errorf("%s ended as\n%+v, want one of\n%+v", id, got, possible)
	return -1
}

// wantEndings checks each order, and notes how often each ending occurred.
func (s *fixture) wantEndings(t *testing.T, ids []string, possible ...ending) {
	t.Helper()
	occurred := make([]int, len(possible))
	for _, id := range ids {
		if i := s.wantEnding(t, id, possible...); i >= 0 {
			occurred[i]++
		}
	}
	t.Logf("endings occurred %v times", occurred)
}

// bringToBooking has the orders where their booking is to be made.
func (s *fixture) bringToBooking(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		s.Deliver(t, orderFor(id), paidFor(id))
	}
}

// bringToBooked has the orders booked.
func (s *fixture) bringToBooked(t *testing.T, ids []string) {
	t.Helper()
	s.bringToBooking(t, ids)
	s.settle(t)
}

func TestRace_CancellationAndBooking(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	s.bringToBooking(t, ids)

	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, bookingRequestedFor(id)), s.Delivery(t, customerCancelsFor(id)), s.Delivery(t, bookingRequestedFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedCancelled)
}

// The carrier has the request in its hands, or has made the booking already, when the customer cancels: before its
// response, or together with it.
func TestRace_CancellationDuringBooking(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	asked, responses := map[string]chan struct{}{}, map[string]chan struct{}{}
	done := map[string]bool{} // the booking is made, and only the response is delayed
	for i, id := range ids {
		asked[parcelOf(id)], responses[parcelOf(id)], done[parcelOf(id)] = make(chan struct{}), make(chan struct{}), i%2 == 0
	}
	s.carrier.during = func(op, parcel string, effect func()) {
		if op != "book" {
			effect()
			return
		}
		if done[parcel] {
			effect()
		}
		close(asked[parcel])
		<-responses[parcel]
		if !done[parcel] {
			effect()
		}
	}
	s.bringToBooking(t, ids)

	before, together := ids[:6], ids[6:]
	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, bookingRequestedFor(id)))
	}
	for _, id := range before {
		all = append(all, func() {
			<-asked[parcelOf(id)]
			s.Deliver(t, customerCancelsFor(id))
			close(responses[parcelOf(id)])
		})
	}
	for _, id := range together {
		all = append(all, func() {
			<-asked[parcelOf(id)]
			close(responses[parcelOf(id)])
			s.Deliver(t, customerCancelsFor(id))
		})
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedCancelled)
}

// The carrier dispatches before the booking's response arrives. Some of the customers cancel.
func TestRace_DispatchBeforeBookingResponse(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	cancelled, wanted := ids[:14], ids[14:]
	exists := map[string]chan struct{}{}
	for _, id := range ids {
		exists[parcelOf(id)] = make(chan struct{})
	}
	s.carrier.during = func(op, parcel string, effect func()) {
		effect()
		if op == "book" {
			close(exists[parcel])
		}
	}
	s.bringToBooking(t, ids)

	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, bookingRequestedFor(id)), func() {
			<-exists[parcelOf(id)]
			s.dispatch(t, id)()
		})
	}
	for _, id := range cancelled {
		all = append(all, s.Delivery(t, customerCancelsFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, cancelled, endedDispatched)
	s.wantEndings(t, wanted, ended(Dispatched, "dispatched", "", dispatched))
}

// The driver comes when the customer cancels; or just before the carrier is asked, so that its refusal and its notice
// arrive at once, or the notice much later; or just after. It is the carrier who decides.
func TestRace_CancellationAndDispatch(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	booked, before, unreported, after := ids[:5], ids[5:10], ids[10:15], ids[15:]
	asked, askFor := map[string]chan struct{}{}, map[string]func(){}
	for _, id := range ids[5:] {
		asked[id] = make(chan struct{})
		askFor[parcelOf(id)] = sync.OnceFunc(func() { close(asked[id]) })
	}
	s.carrier.during = func(op, parcel string, effect func()) {
		ask := askFor[parcel]
		switch {
		case op != "cancel" || ask == nil:
			effect()
		case slices.ContainsFunc(after, func(id string) bool { return parcelOf(id) == parcel }):
			effect()
			ask()
		default:
			s.carrier.dispatch(parcel)
			ask()
			effect()
		}
	}
	s.bringToBooked(t, ids)

	var all []func()
	for _, id := range booked {
		all = append(all, s.Delivery(t, customerCancelsFor(id)), s.dispatch(t, id))
	}
	for id, asked := range asked {
		s.Deliver(t, customerCancelsFor(id))
		all = append(all, s.Delivery(t, cancellationRequestedFor(id)), s.Delivery(t, cancellationRequestedFor(id)), func() {
			<-asked
			s.dispatch(t, id)() // in vain: it was cancelled, or is gone
			if slices.Contains(before, id) {
				s.reportOf(t, id, WebhookDispatched)
			}
		})
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, slices.Concat(booked, before, unreported), endedDispatched)
	s.wantEndings(t, after, endedCancelled)
	for _, id := range unreported {
		s.reportOf(t, id, WebhookDispatched)
	}
	s.settle(t)
	s.wantEndings(t, unreported, endedDispatched)
}

// The parcel has left. Both notices, the customer's cancellation and the carrier's refusal arrive at once.
func TestRace_WebhooksAndCancellation(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	booked, cancelling := ids[:10], ids[10:]
	s.bringToBooked(t, ids)
	for _, id := range cancelling {
		s.Deliver(t, customerCancelsFor(id))
	}

	var all []func()
	for _, id := range ids {
		s.carrier.set(parcelOf(id), "delivered")
		for _, kind := range []CarrierWebhookType{WebhookDispatched, WebhookDelivered, WebhookDelivered} {
			all = append(all, func() { s.reportOf(t, id, kind) })
		}
	}
	for _, id := range booked {
		all = append(all, s.Delivery(t, customerCancelsFor(id)))
	}
	for _, id := range cancelling {
		all = append(all, s.Delivery(t, cancellationRequestedFor(id)), s.Delivery(t, cancellationRequestedFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	refusedBetween := ended(Delivered, "delivered", "", dispatched, delivered, refusedDispatched)
	s.wantEndings(t, ids, endedDelivered, refusedBetween)
}

// The same request comes twice and another with it: to orders that are booked, being booked, and not paid for yet.
func TestRace_ConcurrentCancellations(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	booked, booking, waiting := ids[:7], ids[7:14], ids[14:]
	s.bringToBooked(t, booked)
	s.bringToBooking(t, booking)

	var all []func()
	for _, id := range ids {
		same := s.Delivery(t, customerCancelsFor(id), eventstest.WithID("cancel-"+id))
		all = append(all, same, same, s.Delivery(t, customerCancelsFor(id)))
	}
	for _, id := range booking {
		all = append(all, s.Delivery(t, bookingRequestedFor(id)))
	}
	for _, id := range waiting {
		all = append(all, s.Delivery(t, orderFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, slices.Concat(booked, booking), endedCancelled)
	s.wantEndings(t, waiting, endedNeverBegun)
}

// The customer gets their way whether or not the deadline, which yields to a payment, was first.
func TestRace_CustomerAndDeadline(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	booked, booking, waiting, joining := ids[:5], ids[5:10], ids[10:15], ids[15:]
	s.bringToBooked(t, booked)
	s.bringToBooking(t, booking)

	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, customerCancelsFor(id)), s.Delivery(t, deadlineCancelsFor(id)))
	}
	for _, id := range booking {
		all = append(all, s.Delivery(t, bookingRequestedFor(id)))
	}
	for _, id := range joining {
		all = append(all, s.Delivery(t, orderFor(id)), s.Delivery(t, paidFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, slices.Concat(booked, booking), endedCancelled, endedCancelled.with(refusedPaid))
	s.wantEndings(t, waiting, endedNeverBegun, endedOverdue)
	s.wantEndings(t, joining, endedNeverBegun, endedNeverBegun.with(refusedPaid), endedOverdue,
		endedCancelled, endedCancelled.with(refusedPaid))
}

// The deadline either comes in time, and nothing is booked, or is refused because of the payment.
func TestRace_DeadlineAndPayment(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	ordered, unknown, paid := ids[:8], ids[8:15], ids[15:]
	for _, id := range ordered {
		s.Deliver(t, orderFor(id))
	}
	for _, id := range paid {
		s.Deliver(t, paidFor(id))
	}

	var all []func()
	for _, id := range ids {
		deadline := s.Delivery(t, deadlineCancelsFor(id), eventstest.WithID("deadline-"+id))
		all = append(all, deadline, deadline)
	}
	for _, id := range slices.Concat(unknown, paid) {
		all = append(all, s.Delivery(t, orderFor(id)))
	}
	for _, id := range slices.Concat(ordered, unknown) {
		all = append(all, s.Delivery(t, paidFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, slices.Concat(ordered, unknown), endedOverdue, endedBooked)
	s.wantEndings(t, paid, endedBooked)
}
