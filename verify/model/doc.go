// Package model explores every order in which the events of one order can reach the four services. It has no rules of its
// own: it runs those of order.Order, inventory.Reservation, payment.Payment and shipping.Shipment, and delivers events by
// the services' Subscriptions.
//
// It checks three things:
//   - in every state, the invariants of invariants.go, such as "the card is charged at most once";
//   - in every state in which nothing more has to happen, that the order, its money, its stock and its parcel have reached
//     final states that agree;
//   - that no state can be reached again, so that every run ends.
//
// An exploration covers all combinations of these choices:
//   - There is enough stock or not, the card is accepted or declined, the address is deliverable or not.
//   - The customer cancels up to twice, at any time. The payment deadline passes at any time.
//   - Events arrive in any order. Anything else may happen during a call to the card processor or the carrier.
//   - The carrier dispatches and delivers a booked parcel at any time.
//   - A limited number of faults occur: an event is published twice under two ids, the carrier repeats a webhook, or a
//     call takes effect and its response is lost, so that it is made again. Duplicates under one id are not covered,
//     because the inbox discards them.
//
// It does not cover what is not a rule: databases, the broker, the outbox and the inbox, HTTP, the responses of the
// processor and the carrier on the wire, orders that compete for stock, and durations. Other tests cover them, on real
// servers.
//
// go test explores with no fault and with any one. With MODEL=full in the environment it explores any two as well,
// which takes about a minute and a gigabyte. The tables of docs/choreography.md are generated from the exploration, and
// its section "Checked" has the numbers. go generate updates the tables, and a test compares them.
package model

//go:generate go test -run ^TestChoreography_TablesMatchModel -update .
