// Package e2e tells the shop's stories from outside: it speaks HTTP only, to services that run as compose runs
// them or as processes on the test servers. It is all tests.
//
// With QUADRILLE_E2E=compose the suite talks to what `make up` started. Otherwise it builds the programs, starts
// them on a Postgres and a RabbitMQ of the test harness, and ends them.
package e2e
