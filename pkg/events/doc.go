// Package events publishes and handles events between services that share nothing but a message broker. It is a
// transactional outbox and inbox on Postgres or SQLite through GORM. Packages rabbitmq and inprocess are its transports.
//
// An event is a struct with a type and a subject, an [ETO]. [Publish] writes it to the outbox inside the caller's
// transaction, [Handle] subscribes a handler to it in another service, and one [Bus] per service does the rest:
//
//	bus, err := events.New(db, transport, events.Config{Service: "inventory", Events: declared, AutoMigrate: true},
//		events.Handle("order-created", onOrderCreated))
//	...
//	err = bus.Run(ctx)
//
// # Guarantees
//
//   - An event whose transaction committed is published and delivered to every subscription, whatever crashes. An event
//     whose transaction rolled back is never published.
//   - The database effects of a handler happen exactly once per event: the inbox record, the effects and the events that
//     the handler publishes are one transaction, and the delivery is acknowledged after it.
//   - Events with the same subject reach the broker in the order in which they were written, except scheduled ones. A
//     handler must accept any order, since an event that is retried comes later and several workers run at once.
//   - No mandatory event is lost. Each is handled, waits in the outbox (perhaps parked) or in a queue, or is a dead letter.
//
// # Failures
//
// While the broker is unavailable, events wait in the outbox. A mandatory event to which no queue is bound waits too. An
// event that the broker rejects MaxPublishAttempts times is parked; later events with its subject wait behind it.
//
// If a handler returns an error, its event is retried after each of Config.RetryDelays and then becomes a dead letter.
// [Permanent], [RetryAfter], [Unavailable] and [WithUnlimitedRetries] change that. A panic is an error. While the database is unavailable, the
// subscription pauses and counts no attempts.
//
// An event may be delivered more than once. Handler and event id are the key of the inbox record, which is kept for Inbox.Retention.
//
// docs/sqlite.md has the settings that SQLite needs.
package events
