package payment

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

func reservedFor(id string) contracts.InventoryReserved {
	return contracts.InventoryReserved{OrderID: id}
}

func cancelledFor(id string) contracts.ShipmentCancelled {
	return contracts.ShipmentCancelled{OrderID: id, Reason: contracts.ReasonCustomer}
}

func chargeRequestedFor(id string) contracts.PaymentChargeRequested {
	return contracts.PaymentChargeRequested{OrderID: id}
}

func refundRequestedFor(id string) contracts.PaymentRefundRequested {
	return contracts.PaymentRefundRequested{OrderID: id}
}

// settle delivers the requests of payment to itself until none is left, see [servicetest.Harness.DeliverRequests].
func (s *fixture) settle(t *testing.T, rounds ...[]func()) {
	t.Helper()
	s.DeliverRequests(t, []events.ETO{chargeRequested, refundRequested}, rounds...)
}

// ending is the final state of a payment: its row, its published events, and the processor's account.
type ending struct {
	State     State
	Published []string
	Account   account
	Card      bool // still kept
}

// The endings. Whether "processed" was published before a refund depends on which came first.
var (
	endedCharged = ending{
		State: Charged, Published: []string{chargeRequested.EventType(), processed.EventType()}, Account: account{charges: 1, kept: total.Amount},
	}
	endedRefunded = ending{
		State: Refunded, Account: account{charges: 1, refunds: 1},
		Published: []string{chargeRequested.EventType(), refundRequested.EventType(), contracts.PaymentRefunded{}.EventType()},
	}
	endedProcessedAndRefunded = ending{
		State: Refunded, Account: account{charges: 1, refunds: 1}, Published: []string{
			chargeRequested.EventType(), processed.EventType(), refundRequested.EventType(), contracts.PaymentRefunded{}.EventType(),
		},
	}
	endedDeclined = ending{State: Failed, Published: []string{chargeRequested.EventType(), declined.EventType()}}
	endedVoided   = ending{State: Voided, Published: []string{contracts.PaymentVoided{}.EventType()}}
	endedSilently = ending{State: Voided}
)

// wantEnding checks that the order has ended in one of these ways, and returns which.
func (s *fixture) wantEnding(t *testing.T, id string, possible ...ending) int {
	t.Helper()
	r, err := findPayment(s.DB, id)
	if err != nil {
		t.Fatal(err)
	}
	got := ending{State: r.Payment.State, Account: s.processor.account(id), Card: r.Payment.PaymentMethod != ""}
	for _, e := range s.Transport.Published() {
		if e.Subject == id {
			got.Published = append(got.Published, e.Type)
		}
	}
	options := cmp.Options{cmp.AllowUnexported(account{})}
	for i, e := range possible {
		if cmp.Equal(e, got, options) {
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

// bringToCharging has the orders charging, with cards that pay.
func (s *fixture) bringToCharging(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		s.Deliver(t, orderCreated(id, "pm_card_visa"), reservedFor(id))
	}
}

// bringToCharged has the orders charged.
func (s *fixture) bringToCharged(t *testing.T, ids []string) {
	t.Helper()
	s.bringToCharging(t, ids)
	s.settle(t)
	s.wantEndings(t, ids, endedCharged)
}

func TestRace_CancellationAndCharge(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	s.bringToCharging(t, ids)

	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, chargeRequestedFor(id)), s.Delivery(t, cancelledFor(id)), s.Delivery(t, chargeRequestedFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedRefunded, endedProcessedAndRefunded)
}

// A card that is declined during the cancellation leaves nothing to refund.
func TestRace_CancellationAndDeclinedCharge(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	var all []func()
	for _, id := range ids {
		s.Deliver(t, orderCreated(id, "pm_card_chargeDeclined"), reservedFor(id))
		all = append(all, s.Delivery(t, chargeRequestedFor(id)), s.Delivery(t, cancelledFor(id)), s.Delivery(t, chargeRequestedFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedDeclined)
}

// The processor has the request in its hands, or has carried it out already, when the cancellation arrives: before
// its response, or together with it.
func TestRace_CancellationDuringCharge(t *testing.T) {
	t.Parallel()
	fake := newFakeProcessor(t)
	s := newFixtureWith(t, fake, fake.gateway(t))
	ids := servicetest.OrderIDs(t)
	asked, responses := map[string]chan struct{}{}, map[string]chan struct{}{}
	for _, id := range ids {
		asked[id], responses[id] = make(chan struct{}), make(chan struct{})
	}
	fake.during = func(op, id string, effect func()) {
		if op != "confirm" {
			effect()
			return
		}
		if slices.Index(ids, id)%2 == 0 { // the effect is made, and only the response is delayed
			effect()
			close(asked[id])
			<-responses[id]
			return
		}
		close(asked[id])
		<-responses[id]
		effect()
	}
	s.bringToCharging(t, ids)

	before, together := ids[:6], ids[6:]
	var all []func()
	for _, id := range ids {
		all = append(all, s.Delivery(t, chargeRequestedFor(id)))
	}
	for _, id := range before {
		all = append(all, func() {
			<-asked[id]
			s.Deliver(t, cancelledFor(id))
			close(responses[id])
		})
	}
	for _, id := range together {
		all = append(all, func() {
			<-asked[id]
			close(responses[id])
			s.Deliver(t, cancelledFor(id))
		})
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, before, endedRefunded)
	s.wantEndings(t, together, endedRefunded, endedProcessedAndRefunded)
}

// The cancellations of some orders arrive together with the order and the stock, of others with the charge, of others
// after it.
func TestRace_CancellationAndJoin(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	all, later := []func(){}, make([][]func(), 2)
	for i, id := range ids {
		cancel := s.Delivery(t, cancelledFor(id))
		all = append(all, s.Delivery(t, orderCreated(id, "pm_card_visa")), s.Delivery(t, reservedFor(id)))
		if round := i % 3; round == 0 {
			all = append(all, cancel)
		} else {
			later[round-1] = append(later[round-1], cancel)
		}
	}
	servicetest.Race(all...)
	s.settle(t, later...)

	for i, id := range ids {
		if i%3 == 0 {
			s.wantEnding(t, id, endedVoided, endedRefunded)
		} else {
			s.wantEnding(t, id, endedRefunded, endedProcessedAndRefunded)
		}
	}
}

// The same cancellation comes three times and two others with it: to orders that are charged, to orders that are just
// being charged, and to orders that nothing is known about.
func TestRace_ConcurrentCancellations(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	charged, charging, unknown := ids[:7], ids[7:14], ids[14:]
	s.bringToCharged(t, charged)
	s.bringToCharging(t, charging)

	var all []func()
	for _, id := range ids {
		cancel := cancelledFor(id)
		same := s.Delivery(t, cancel, eventstest.WithID("cancel-"+id))
		all = append(all, same, same, same, s.Delivery(t, cancel), s.Delivery(t, cancel))
	}
	for _, id := range charging {
		all = append(all, s.Delivery(t, chargeRequestedFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, charged, endedProcessedAndRefunded)
	s.wantEndings(t, charging, endedRefunded, endedProcessedAndRefunded)
	s.wantEndings(t, unknown, endedVoided)
}

// All of an order's attempts at the refund have looked, and seen that nothing was given back, before any asks for it.
func TestRace_ConcurrentRefunds(t *testing.T) {
	t.Parallel()
	const attempts = 4
	fake := newFakeProcessor(t)
	s := newFixtureWith(t, fake, fake.gateway(t))
	ids := servicetest.OrderIDs(t)
	looked := map[string]*sync.WaitGroup{}
	for _, id := range ids {
		looked[id] = &sync.WaitGroup{}
		looked[id].Add(attempts)
	}
	fake.during = func(op, id string, effect func()) {
		if op == "refund" {
			looked[id].Wait()
		}
		effect()
		if op == "refunds" && fake.account(id).refunds == 0 {
			looked[id].Done()
		}
	}
	s.bringToCharged(t, ids)
	for _, id := range ids {
		s.Deliver(t, cancelledFor(id))
	}

	var all []func()
	for _, id := range ids {
		same := s.Delivery(t, refundRequestedFor(id), eventstest.WithID("refund-"+id))
		all = append(all, same, same, s.Delivery(t, refundRequestedFor(id)), s.Delivery(t, refundRequestedFor(id)), s.Delivery(t, cancelledFor(id)))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedProcessedAndRefunded)
	if asked := fake.count("refund"); asked != attempts*len(ids) {
		t.Errorf("the processor was asked for %d refunds, want all %d attempts to have raced", asked, attempts*len(ids))
	}
}

// A parcel that is undeliverable and cancelled: either is a reason to give the money back, once.
func TestRace_UndeliverableAndCancelled(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	s.bringToCharged(t, ids)

	var all []func()
	for _, id := range ids {
		failed := contracts.ShipmentFailed{OrderID: id, Detail: "no such place"}
		all = append(all, s.Delivery(t, failed), s.Delivery(t, cancelledFor(id)), s.Delivery(t, failed))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedProcessedAndRefunded)
}

// The order's end stops only what still waits. A charge that had begun goes on: its money is the shipment's to send
// back.
func TestRace_OrderCancelledAndJoin(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	var all, late []func()
	for i, id := range ids {
		created, reserved := s.Delivery(t, orderCreated(id, "pm_card_visa")), s.Delivery(t, reservedFor(id))
		all = append(all, s.Delivery(t, contracts.OrderCancelled{OrderID: id, Reason: contracts.ReasonCustomer}))
		switch i % 3 {
		case 0:
			all = append(all, created, reserved)
		case 1:
			all, late = append(all, created), append(late, reserved, reserved)
		case 2:
			all, late = append(all, reserved), append(late, created, created)
		}
	}
	servicetest.Race(all...)
	servicetest.Race(late...)
	s.settle(t)

	for i, id := range ids {
		if i%3 == 0 {
			s.wantEnding(t, id, endedSilently, endedCharged)
		} else {
			s.wantEnding(t, id, endedSilently)
		}
	}
}

// Both cancellations at once: whichever is first, the other has nothing to add.
func TestRace_BothCancellationsAndJoin(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	ids := servicetest.OrderIDs(t)
	var all []func()
	for _, id := range ids {
		all = append(all,
			s.Delivery(t, orderCreated(id, "pm_card_visa")), s.Delivery(t, reservedFor(id)), s.Delivery(t, cancelledFor(id)),
			s.Delivery(t, contracts.OrderCancelled{OrderID: id, Reason: contracts.ReasonCustomer}))
	}
	servicetest.Race(all...)
	s.settle(t)

	s.wantEndings(t, ids, endedSilently, endedVoided, endedRefunded)
}
