// Package events carries facts between services that share nothing but a broker, losing none and applying none
// twice. It is a transactional outbox and inbox on a SQL database through GORM, over a broker behind [Transport].
//
// # Use
//
// An event is a struct that names itself, an [ETO]. [Publish] writes it to the outbox inside the caller's
// transaction; [On] binds a reaction to it in another service; a [Bus] per service does the rest:
//
//	bus, err := events.New(db, transport, events.Config{Service: "inventory"},
//		events.On("order-created", onOrderCreated))
//	...
//	err = events.Migrate(ctx, db)
//	...
//	err = bus.Run(ctx)
//
// # What it promises
//
//   - An event whose transaction committed is published, and taken by every subscription in the topology, however
//     often anything crashes. One whose transaction rolled back never is.
//   - The database effects of a reaction happen exactly once for every event: the inbox mark, the effects and the
//     events that the reaction publishes are one transaction, and the broker is told only after it.
//   - Events with the same subject reach the broker in the order they were written. Beyond the broker there is no
//     order: events that fail come later, and several workers take turns. Reactions must expect any order.
//   - Nothing disappears silently. Every event is processed, or waits where a person can see it: in the outbox
//     (due, scheduled, without a queue, or parked), in a queue, or among the dead letters.
//
// # When things fail
//
// A broker that is away costs nothing but time: rows wait in the outbox and no attempt is counted. An event that
// somebody must read but no queue is bound to waits as well. One that the broker refuses is parked after
// Config.RefusalLimit times; other events overtake it, later ones with its subject do not.
//
// A reaction that returns an error is tried again down the ladder of delays, then its event becomes a dead letter
// with the error; [Permanent], [RetryAfter] and [Unavailable] say otherwise. A panic is an error. If the database
// does not answer, the subscription pauses instead, and spends no attempts: an outage longer than the ladder must
// not empty the queues into the dead letters.
//
// An event can be published twice and delivered twice: its id is the key by which the inbox knows it. Marks are
// kept for Config.InboxRetention; a dead letter may be replayed while they last.
package events
