// Package processor simulates a card processor with Stripe's API. Stripe's official clients work with its URL and key.
// It covers payment intents, refunds, test payment methods and idempotency keys.
//
// Guarantees:
//
//   - Responses are durable: each effect is on disk, together with the response saved under its idempotency key, before
//     the response is sent. A crash at any time loses nothing that a client has received.
//   - An idempotency key executes one request. Its response, including an error of the execution, is replayed with the
//     header Idempotent-Replayed: true. The same key with other parameters is a 400, and a key whose request is still
//     running is a 409. Responses sent before the execution are not saved: wrong API key, invalid parameters, 409, 503.
//   - Requests are linearizable: each reads and changes the state at a single point in time.
//
// Operators read the audit snapshot at /ops/audit and inject faults at /ops/faults. DELETE /ops/keys purges the
// idempotency keys, as Stripe does after a day or more. The operations that a fault can match are create, retrieve,
// confirm, cancel and refund. A request that creates and confirms an intent is a create, and every GET is a retrieve.
package processor
