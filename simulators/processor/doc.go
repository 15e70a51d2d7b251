// Package processor simulates a card processor that speaks Stripe's API, well enough for the official clients to work
// against it by URL and key: payment intents, refunds, test payment methods, idempotency keys.
//
// It promises:
//
//   - What it answered, it remembers: every effect is on disk together with the answer saved under its idempotency key,
//     before the answer leaves. A kill at any moment loses nothing that was answered.
//   - A key executes once. Its answer, errors of execution included, is replayed with Idempotent-Replayed: true; the same
//     key with other parameters is a 400; a key whose request is still running is a 409. Not saved are answers that
//     precede execution: a wrong API key, invalid parameters, 409, 503.
//   - Each request reads and changes the state at one point in time.
//
// Operators see the books at /ops/books, break it at /ops/switches, and let it forget its idempotency keys, as the real
// one does after a day or more, with DELETE /ops/keys. The operations that a switch can name are create, retrieve,
// confirm, cancel and refund; confirming while creating counts as create, and every GET as retrieve.
package processor
