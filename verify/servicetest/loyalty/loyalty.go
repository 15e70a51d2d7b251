// Package loyalty is the smallest service: it has tables, endpoints and a program, and no rule yet. CONTRIBUTING.md shows
// it as the start of a new service, and its test checks the harness for the tests of services.
package loyalty

// Account holds the points of a customer. Its rules are methods that return the events to publish.
type Account struct {
	CustomerID string
	Points     int
}
