// Package eventstest helps to test programs that use package events, and transports of package events.
//
// Services test their handlers with [Transport], a broker in memory. It delivers events to the real bus, which runs the
// real inbox and handler on a real database, and it records what the outbox publishes:
//
//	tr := eventstest.NewTransport()
//	bus, err := events.New(db, tr, events.Config{Service: "inventory"}, subscriptions...)
//	...
//	eventstest.Start(t, bus)
//	outcome := tr.Deliver(t, OrderCreated{OrderID: "1"})
//	reserved := eventstest.Decode[StockReserved](t, tr.WaitFor(t, "inventory.stock_reserved.v1", "1"))
//
// Authors of a transport run the conformance suite, [Run], on an [Environment] that they implement. A transport that passes
// it keeps the guarantees of package events, under faults as well. [Proxy] injects faults into TCP connections.
package eventstest
