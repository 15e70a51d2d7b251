// Package carrier simulates a parcel carrier: it books shipments, hands them over after a while, delivers them after
// another, and reports both by signed webhook.
//
// It promises:
//
//   - One shipment for each reference. Booking again answers the same shipment, or the same refusal, whatever else the
//     request says.
//   - It is the arbiter of what leaves: whether a shipment is cancelled or handed over is decided under one lock, once.
//     Cancelling a cancelled shipment answers "cancelled" again; a shipment that was handed over answers 409.
//   - What it answered or reported, it remembers: it is on disk before anybody hears of it. A kill at any moment loses
//     nothing of that, and due hand-overs, deliveries and reports go on after a restart.
//
// # Webhooks
//
// A report is a POST of {"id", "type", "reference", "shipmentId", "tracking", "occurredAt"}, the type being
// shipment.dispatched or shipment.delivered. It is repeated, after 100ms and then twice as long each time up to 5s, until
// an answer with a status of 2xx comes: at least once, with the same id each time, and in no particular order.
//
// The header Carrier-Signature is "t=<t>,v1=<signature>": t is the moment of sending in Unix seconds, and the signature
// is the HMAC-SHA256, in lower-case hex, of t, a full stop and the body as sent, under the shared secret. A receiver
// computes it over the raw body, compares in constant time, and refuses a t that is too long ago.
//
// Operators see the books at /ops/books and break it at /ops/switches. The operations that a switch can name are book,
// retrieve and cancel, and webhook_dispatched and webhook_delivered for the reports. A report that is refused before is
// not sent; one that is refused after is sent, its answer ignored, and so it is sent again.
package carrier
