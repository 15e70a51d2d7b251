// Package e2e tests a running stack from outside, over HTTP only. It contains nothing but tests.
//
// The environment variable QUADRILLE_E2E selects the stack:
//   - unset: the suite builds the programs and runs them as processes, on a Postgres and a RabbitMQ of package testservers;
//   - embedded: it builds quadrille and runs the embedded stack, which is one process;
//   - compose: it uses the stack that `make up` started. QUADRILLE_TLS=true means that deploy/tls/compose.yml is in use.
//
// Every request and response is checked against the OpenAPI document that the service serves (package apicheck). The tests
// of permissions connect to the broker and to the databases with the credentials of each service.
//
// The suite receives the spans of the services. The trace of each order must have the edges that testdata/edges.txt lists
// for its story; see assertTrace.
//
// With -short, tests that take minutes are skipped; see long.
package e2e
