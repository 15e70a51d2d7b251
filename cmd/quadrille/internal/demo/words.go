package demo

// meaning says what each event means, to somebody who has never heard of it, in few enough words for one line of a
// usual screen. %s is the order's total.
var meaning = map[string]string{
	"order.created":          "saved together with the order, or not at all",
	"order.confirmed":        "the customer can count on it",
	"order.completed":        "told to whoever wants to know",
	"order.cancel_requested": "a wish: shipping finds out if it is in time",
	"order.cancelled":        "it is over; whoever still waits for it lets go",
	"order.stalled":          "this takes too long; somebody should look",

	"inventory.reserved":           "all is set aside, nobody else can buy it",
	"inventory.reservation_failed": "not all is there, so nothing is set aside",
	"inventory.released":           "what was set aside is for sale again",

	"payment.charge_requested": "a note to itself, before the card is touched",
	"payment.processed":        "%s taken from the card",
	"payment.failed":           "the card was declined, nothing was taken",
	"payment.refund_requested": "a note to itself, before money is sent back",
	"payment.refunded":         "%s given back",
	"payment.voided":           "this order will never be charged",

	"shipment.booking_requested":      "a note to itself, before the carrier is called",
	"shipment.created":                "the carrier has a parcel for this order",
	"shipment.dispatched":             "handed to the carrier; it has left the shelf",
	"shipment.delivered":              "the customer has the parcel",
	"shipment.failed":                 "the carrier cannot deliver to this address",
	"shipment.cancellation_requested": "a note to itself, before the carrier is asked",
	"shipment.cancelled":              "no parcel will leave",
	"shipment.cancel_refused":         "too late: the parcel has left",
}
