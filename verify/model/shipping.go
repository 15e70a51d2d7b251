package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// Results of calls to the carrier, and its webhooks.
const (
	accepted      = "the carrier has booked the parcel"
	undeliverable = "the carrier cannot deliver there"
	granted       = "the carrier has cancelled the parcel"
	tooLate       = "the carrier has handed over already"

	webhookDispatched = "webhook: dispatched"
	webhookDelivered  = "webhook: delivered"
)

// shipment is a shipment, and whether a cancellation was refused because the parcel had left.
type shipment struct {
	Shipment shipping.Shipment
	Refused  bool
}

func newShippingProcess() process[shipment] {
	const parcelID, tracking = "parcel", "track"
	type sh = shipping.Shipment
	result := func(f func(*sh) []contracts.ETO) rule[shipment] {
		return func(s *shipment, _ event) []contracts.ETO { return f(&s.Shipment) }
	}
	return process[shipment]{
		name:          "shipping",
		subscriptions: shipping.Subscriptions(nil),
		start:         func(Circumstances) shipment { return shipment{Shipment: shipping.NewShipment("1")} },
		label: func(s *shipment) string {
			switch sh := s.Shipment; {
			case sh.State == shipping.Waiting && sh.OrderReceived:
				return "waiting for the payment"
			case sh.State == shipping.Waiting && sh.Paid:
				return "waiting for the order"
			case sh.State == shipping.Waiting:
				return "waiting for both"
			case sh.State == shipping.BookingCancel:
				return "booking, to be cancelled"
			default:
				return string(sh.State)
			}
		},
		rules: map[string]rule[shipment]{
			"order-created":          withShipment((*sh).OrderCreated),
			"payment-processed":      withShipment((*sh).PaymentProcessed),
			"order-cancel-requested": withShipment((*sh).OrderCancelRequested),
			"order-cancelled":        withShipment((*sh).OrderCancelled),

			accepted:      result(func(s *sh) []contracts.ETO { return s.BookingAccepted(parcelID) }),
			undeliverable: result(func(s *sh) []contracts.ETO { return s.BookingRejected("no such place") }),
			granted:       result((*sh).CancellationGranted),
			tooLate:       result(func(s *sh) []contracts.ETO { return s.Dispatched(s.ParcelID, tracking) }),

			// The service rejects a webhook while it waits for the order or the payment, and the carrier repeats it. Here the
			// webhook is lost, which is worse.
			webhookDispatched: result(func(s *sh) []contracts.ETO { return s.Dispatched(parcelID, tracking) }),
			webhookDelivered:  result(func(s *sh) []contracts.ETO { return s.Delivered(parcelID, tracking) }),
		},
		calls: map[string]call[shipment]{
			"shipment-booking-requested": {
				wanted: func(s *shipment) bool { return s.Shipment.ShouldBook() },
				make:   book,
			},
			"shipment-cancellation-requested": {
				wanted: func(s *shipment) bool { return s.Shipment.ShouldCancel() },
				make:   cancel,
			},
		},
		note: func(s *shipment, etos []contracts.ETO) {
			for _, eto := range etos {
				refused, ok := eto.(contracts.ShipmentCancelRefused)
				s.Refused = s.Refused || ok && refused.Because == contracts.BecauseDispatched
			}
		},
	}
}

func withShipment[T contracts.ETO](f func(*shipping.Shipment, T) []contracts.ETO) rule[shipment] {
	return func(s *shipment, e event) []contracts.ETO { return f(&s.Shipment, toETO[T](e)) }
}
