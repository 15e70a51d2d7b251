package model

import (
	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/services/shipping"
)

// The carrier's answers, and its notices.
const (
	accepted      = "the carrier has booked the parcel"
	undeliverable = "the carrier cannot deliver there"
	granted       = "the carrier has cancelled the parcel"
	tooLate       = "the carrier has handed over already"

	noticeHandedOver = "notice: handed over"
	noticeDelivered  = "notice: delivered"
)

// shipment is a shipment, and whether anybody was told that a cancellation came too late.
type shipment struct {
	Shipment shipping.Shipment
	Refused  bool
}

func shipments() party[shipment, shipping.Fact] {
	const parcelID, tracking = "parcel", "track"
	to := func(f func(*shipping.Shipment) []shipping.Fact) rule[shipment, shipping.Fact] {
		return func(s *shipment, _ event) []shipping.Fact { return f(&s.Shipment) }
	}
	detail := func(f func(*shipping.Shipment, string) []shipping.Fact) rule[shipment, shipping.Fact] {
		return func(s *shipment, e event) []shipping.Fact { return f(&s.Shipment, e.Detail) }
	}
	return party[shipment, shipping.Fact]{
		name:  "shipping",
		hears: shipping.Subscriptions(nil),
		start: func(Circumstances) shipment { return shipment{Shipment: shipping.NewShipment("1")} },
		label: func(s *shipment) string {
			switch sh := s.Shipment; {
			case sh.State == shipping.Waiting && sh.OrderSeen:
				return "waiting for the payment"
			case sh.State == shipping.Waiting && sh.PaymentSeen:
				return "waiting for the order"
			case sh.State == shipping.Waiting:
				return "waiting for both"
			case sh.State == shipping.BookingCancel:
				return "booking, to be cancelled"
			default:
				return string(sh.State)
			}
		},
		rules: map[string]rule[shipment, shipping.Fact]{
			"order-created": to(func(s *shipping.Shipment) []shipping.Fact {
				return s.OrderCreated(shipping.Address{City: "Paris"}, []shipping.Item{{SKU: sku, Quantity: ordered}})
			}),
			"payment-processed":      to((*shipping.Shipment).PaymentProcessed),
			"order-cancel-requested": detail((*shipping.Shipment).CancelRequested),
			"order-cancelled":        detail((*shipping.Shipment).OrderCancelled),

			accepted: to(func(s *shipping.Shipment) []shipping.Fact { return s.BookingAccepted(parcelID) }),
			undeliverable: to(func(s *shipping.Shipment) []shipping.Fact {
				return s.BookingRejected("no such place")
			}),
			granted: to((*shipping.Shipment).CancellationGranted),
			tooLate: to(func(s *shipping.Shipment) []shipping.Fact { return s.Dispatched(s.ParcelID, tracking) }),

			// The service sends a notice back while it waits for the order or the payment; here it would be lost, which is
			// worse.
			noticeHandedOver: to(func(s *shipping.Shipment) []shipping.Fact { return s.Dispatched(parcelID, tracking) }),
			noticeDelivered:  to(func(s *shipping.Shipment) []shipping.Fact { return s.Delivered(parcelID, tracking) }),
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
		tells: map[shipping.Fact]func(*shipment) event{
			shipping.BookingStarted:      plain[shipment](contracts.ShipmentBookingRequested{}),
			shipping.CancelStarted:       plain[shipment](contracts.ShipmentCancellationRequested{}),
			shipping.ParcelBooked:        plain[shipment](contracts.ShipmentCreated{}),
			shipping.ParcelDispatched:    plain[shipment](contracts.ShipmentDispatched{}),
			shipping.ParcelDelivered:     plain[shipment](contracts.ShipmentDelivered{}),
			shipping.ParcelUndeliverable: plain[shipment](contracts.ShipmentFailed{}),
			shipping.ShipmentCancelled: func(s *shipment) event {
				return event{contracts.ShipmentCancelled{}.EventType(), s.Shipment.Reason}
			},
			shipping.CancelRefusedPaid:       detailed[shipment](contracts.ShipmentCancelRefused{}, contracts.BecausePaid),
			shipping.CancelRefusedDispatched: detailed[shipment](contracts.ShipmentCancelRefused{}, contracts.BecauseDispatched),
		},
		note: func(s *shipment, facts []shipping.Fact) {
			for _, f := range facts {
				s.Refused = s.Refused || f == shipping.CancelRefusedDispatched
			}
		},
	}
}
