// Package e2e tells the shop's stories from outside: it speaks HTTP only, to services that run as compose runs
// them, as processes on the test servers, or all in one process. It is all tests. Every request and every answer is held
// against the OpenAPI document that the service serves (package apicheck). The tests of rights speak to the broker and the
// databases, as somebody who has got hold of a service's password.
//
// The suite receives the spans of the services and compares those of each order with testdata/edges.txt: see assertTrace.
//
// With QUADRILLE_E2E=compose the suite talks to what `make up` started, with QUADRILLE_E2E=embedded to a shop in one
// process that it builds and starts. Otherwise it builds the programs, starts them on a Postgres and a RabbitMQ of the
// test harness, and ends them. QUADRILLE_TLS=on says that compose runs with deploy/tls/compose.yml.
package e2e
