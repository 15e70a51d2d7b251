package demo

// captions explain each event to a reader who does not know it, in one line of a terminal of 100 characters. %s is the
// order's total.
var captions = map[string]string{
	"order.created":          "stored in the same transaction as the order",
	"order.confirmed":        "the order is paid",
	"order.completed":        "the order has ended well",
	"order.cancel_requested": "shipping decides if it is in time",
	"order.cancelled":        "the order has ended, nothing is kept for it",
	"order.stalled":          "it takes too long, an operator should look",

	"inventory.reserved":           "every item is reserved for this order",
	"inventory.reservation_failed": "an item is short, so none is reserved",
	"inventory.released":           "the items are for sale again",

	"payment.charge_requested": "stored before the card is charged",
	"payment.processed":        "%s charged to the card",
	"payment.failed":           "the card was declined, nothing is charged",
	"payment.refund_requested": "stored before money is sent back",
	"payment.refunded":         "%s sent back",
	"payment.voided":           "this order will never be charged",

	"shipment.booking_requested":      "stored before the carrier is called",
	"shipment.created":                "the carrier has booked a parcel",
	"shipment.dispatched":             "the parcel has left the warehouse",
	"shipment.delivered":              "the customer has the parcel",
	"shipment.failed":                 "the carrier cannot deliver to this address",
	"shipment.cancellation_requested": "stored before the carrier is called",
	"shipment.cancelled":              "no parcel will leave",
	"shipment.cancel_refused":         "too late, the parcel has left",
}
