// Package carrier simulates a parcel carrier. It books shipments, dispatches each after a delay, delivers it after
// another delay, and reports both by signed webhook.
//
// Guarantees:
//
//   - One shipment per reference: booking a reference again returns the same shipment, or the same rejection, even if
//     the rest of the request differs.
//   - The carrier decides whether a shipment is cancelled or dispatched, once, under a lock. Cancelling a cancelled
//     shipment succeeds again. Cancelling a dispatched shipment is a 409.
//   - Responses and webhooks are durable: the state behind them is on disk before they are sent. A crash at any time
//     loses none of it, and pending transitions and webhooks continue after a restart.
//
// # Webhooks
//
// A webhook is a POST of {"id", "type", "reference", "shipmentId", "tracking", "occurredAt"}. Its type is
// shipment.dispatched or shipment.delivered. The carrier retries after 100ms, doubling the delay up to 5s, until it
// receives a 2xx response. Delivery is at least once, with the same id each time, and unordered.
//
// The header Carrier-Signature is "t=<t>,v1=<signature>". t is the time of sending in Unix seconds. The signature is
// the HMAC-SHA256, in lower-case hex, of t, a full stop and the body, with the shared secret as the key. A receiver
// computes it over the raw body, compares in constant time, and rejects a t that is too old.
//
// # Operators
//
// Operators read the audit snapshot at /ops/audit and inject faults at /ops/faults. The operations that a fault can
// match are the requests book, retrieve and cancel, the webhooks webhook_dispatched and webhook_delivered, and the
// transitions dispatch and deliver. A webhook that is dropped before its effect is not sent. One that is dropped after
// it is sent, but its response is ignored, so it is sent again.
package carrier
