// Package inprocess carries events between the services of one process, without a broker outside it. Each service has its
// own database, SQLite or Postgres, and receives its events in a table there, the stored inbox:
//
//	broker := inprocess.NewBroker(inprocess.Config{})
//	bus, err := events.New(orderDB, broker.Transport(orderDB),
//		events.Config{Service: "order", DeclareTopology: true}, subscriptions...)
//
// # Guarantees
//
//   - An event counts as published once it is stored durably in the database of every service that subscribes to it,
//     whether the subscribers run or not. If the process is killed, no event is lost. What a power failure can destroy
//     depends on the database; on SQLite, synchronous(full) prevents a loss.
//   - A stored event stays until the transaction of its handler is committed. It is delivered again if the process ends
//     before it is deleted. The inbox ignores it then, as with any broker.
//   - The number of attempts, the time of the next one and the last error are in the event's row. Dead letters stay in
//     the table with their reason; [Broker.Queues] counts them and [Broker.DeadLetters] lists them. OnDeadLetter is not
//     called again if the process ends between storing a dead letter and the call.
//   - A handler receives the events of one subject in the order in which they were published, one at a time. An event
//     that failed and waits for its next attempt blocks later events of its subject only. A dead letter blocks none.
//     RabbitMQ guarantees less, so a service that shall run there too cannot rely on this order.
//
// # Bindings
//
// [Transport.Declare] creates the tables and binds the queues of a service. The bus calls it if
// events.Config.DeclareTopology is set. Until a subscriber has declared its topology for the first time, it misses events
// that are not mandatory; mandatory ones wait in the outbox. To avoid that, declare all topologies before the first bus
// runs.
//
// Bindings are stored in the database of the publishing service. After a restart, its events wait in the outbox until all
// services with a binding have declared their topologies again. A process that starts with fewer services than before
// therefore loses none of their events. [Broker.Unbind] deletes the binding of a service that is gone for good. A queue of
// an earlier release continues to receive, as it would on RabbitMQ, until it is unbound.
//
// # Limits
//
// The broker knows only in memory which events are being handled. Two processes, or two brokers, on the same databases
// would deliver the same events. The inbox prevents a second database change, but not a second call to another system. Use
// one broker.
//
// Publishing writes to the databases of all subscribers and is as slow as the slowest of them. If one of them fails, the
// event counts as not published and is sent again to all. On SQLite a writing transaction locks the database; a slow
// handler makes publishers wait, for busy_timeout at most.
//
// All databases stay open until the last bus has returned. They need the settings that package events asks for.
package inprocess
