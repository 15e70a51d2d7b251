// Package events carries facts between services that share nothing but a broker, losing none and applying none
// twice. It is a transactional outbox and inbox on Postgres or SQLite through GORM, over a broker behind [Transport].
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
//
// # SQLite
//
// The kind of database is known by the handle's GORM dialect; the driver is the caller's choice. With SQLite, 3.38 or
// later, the promises are the same, among all processes that open the file on one machine. It needs these settings,
// here in the notation of the drivers that are translated to Go:
//
//	file:order.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate
//
// A transaction that writes has the database to itself, from its beginning (_txlock: one that reads first could not
// write later, if another wrote meanwhile). Transactions of the bus's handle take turns, so a reaction does well to
// be brief, and may not begin a second transaction inside the first; sql.TxOptions.ReadOnly keeps one that only reads
// out of the queue. Others wait for busy_timeout, and count as deadlocks do on Postgres. With synchronous(normal)
// nothing is lost when the process is killed, with synchronous(full) nor when the machine is. A few connections are
// enough for a pool, all of them idle ones too: they are slow to open, and each has a page cache of its own. A new file
// is opened by one process first, which makes it one with a write-ahead log.
//
// Times in the library's tables are text of one length in UTC, 2026-02-03 04:05:06.000007+00:00, that compares as the
// times do; their columns are declared as timestamp, so that drivers hand out a time.Time.
package events
