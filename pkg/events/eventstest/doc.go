// Package eventstest helps to test what is built on package events, and package events' own transports.
//
// Services test their reactions with [Transport], a broker in memory: it hands events to the real bus, which runs
// the real inbox and reaction on a real database, and records what the outbox sends:
//
//	tr := eventstest.NewTransport()
//	bus, err := events.New(db, tr, events.Config{Service: "inventory"}, subscriptions...)
//	...
//	eventstest.Start(t, bus)
//	verdict := tr.Deliver(t, OrderCreated{OrderID: "1"})
//	reserved := eventstest.Decode[StockReserved](t, tr.WaitFor(t, "inventory.stock_reserved.v1", "1"))
//
// Implementers of a transport run the conformance suite, [Run], on a [World] that they provide. What passes it
// keeps the promises of package events, faults included; [Proxy] is there to inject them.
package eventstest
