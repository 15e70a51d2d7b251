// Package inprocess carries events between the services of one process, without a broker. Each service has its own
// database, SQLite or Postgres, and receives its events in a table there, the stored inbox:
//
//	hub := inprocess.NewHub(inprocess.Config{})
//	err := hub.Join(ctx, orderDB, orderTopology)
//	err = hub.Join(ctx, inventoryDB, inventoryTopology)
//	...
//	bus, err := events.New(orderDB, hub.Transport(), events.Config{Service: "order"}, subscriptions...)
//
// # What it promises
//
//   - An event counts as published when it is stored, durably, in the database of every service that has a
//     subscription to it: no sooner, whether the subscribers run or not. Killing the process at any moment loses
//     nothing. What a power failure may take is for the database to say; on SQLite, choose synchronous(full) against
//     that.
//   - A stored event stays until the reaction has committed, and is delivered again if the process ends before it was
//     taken off. The inbox's marks make that harmless, here as with a broker.
//   - Attempts, the time of the next one and the last error are in the event's row. Dead letters stay in the table with
//     their reason; [Hub.Queues] counts them and [Hub.DeadLetters] lists them.
//   - One reaction receives the events of one subject in the order in which they were published, one at a time: one
//     that failed and waits for its next attempt holds back the later ones of its subject, and nobody else's. A dead
//     letter holds nothing back. RabbitMQ promises less, so a service that is to run there too may not rely on it.
//
// # Who is bound
//
// Join makes the tables and binds the queues of a service. All services join before the first bus runs: an open event
// that nobody is bound to is done, a required one waits in the outbox until somebody is.
//
// Bindings are remembered in the database of the service that publishes. When it joins again, after a restart, what it
// publishes waits in its outbox until everybody who was bound before is there as well; so a process that is started
// with fewer services than the last time loses none of their events. [Hub.Unbind] ends such a wait for good. A queue
// that is in no topology any more goes on receiving, as it would at a broker, until it is unbound.
//
// # Limits
//
// The hub knows which events are being handled in memory only. Two processes, or two hubs, on the same databases would
// hand out the same events: the marks keep their database effects from happening twice, but calls to the outside world
// would be made side by side. Use one hub.
//
// Publishing writes to the subscribers' databases, so it is as slow as the slowest of them, and what cannot be stored
// at one of them counts as not published and will be sent again to all. On SQLite a transaction that writes has the
// database to itself; a reaction that lingers makes publishers wait, for busy_timeout at most.
//
// All handles stay open until the last bus has returned. They need the settings that package events asks for.
package inprocess
