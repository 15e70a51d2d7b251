// Package reconcile checks the whole shop from outside: it reads the books that the services and the simulators serve to
// operators, asks the broker for its queues, and says what does not add up.
//
// It promises: nothing is found that is only passing, since books are read one after the other while the shop runs;
// nothing is left out silently, since what could not be checked is named; and it changes nothing.
//
// The way of a check: fetch.go reads the books (books.go) once, shop.go arranges them by order, the rules_*.go judge
// them, each a pure function; ledger.go reads and judges again until the judgement stands, and report.go sums it up.
package reconcile
