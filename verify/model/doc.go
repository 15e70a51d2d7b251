// Package model runs the rules of the four services against each other, for one order, in every order of events that
// can be. It has no rules of its own: what an event does is asked of order.Order, inventory.Reservation,
// payment.Payment and shipping.Shipment, and who hears it of the services' Subscriptions.
//
// Checked in every state: the invariants of invariants.go, such as "at most one capture". Checked in every state in which
// nothing more has to happen: that the order, its money, its stock and its parcel have ended, and agree. Checked of the
// whole: that nothing goes in circles, so that every run ends.
//
// Explored is everything that the following leaves open: there is enough stock or not, the card pays or is declined,
// the address is deliverable or not; the customer cancels never, once or twice, whenever; the payment deadline passes
// whenever; events arrive in any order; while a call to the card processor or the carrier is outstanding, anything else
// may happen; the carrier hands over and delivers what it has booked when it likes. On top, a number of faults: an
// event is published twice under two ids, or the carrier repeats a webhook, or a call takes effect and its answer is
// lost, so that it is made again. Deliveries of one event under one id are not among them: the inbox lets only the
// first through.
//
// Not checked: everything that is not a rule. Databases, the broker, the outbox and the inbox, HTTP, what the processor
// and the carrier answer on the wire; orders that compete for stock; how long anything takes. Those have tests of their
// own, on real servers.
//
// go test explores with no fault and with any one. With MODEL=full in the environment it explores any two as well,
// which takes about a minute and a gigabyte. The tables of docs/choreography.md are written from what was explored, and
// its section "Checked" states the numbers: go generate brings the tables up to date, and a test compares both.
package model

//go:generate go test -run ^TestChoreography_ItsTables -update .
