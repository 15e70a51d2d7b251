// Package chassis runs a service: it reads the configuration, migrates the database, connects the handlers of events
// with the broker, serves HTTP, and shuts down in order. It knows nothing of what a service does.
//
// A service describes itself by a [Service] and calls [Run]; its main function is one line, program.Main. The parts are
// packages of their own:
//
//   - program: the main function of every service, with signals, subcommands and the connections.
//   - external: calls to external systems, with bounded responses, without redirects.
//   - httpapi: the router, problem details, JSON, pages, idempotency keys, audit snapshots, the OpenAPI document.
//   - database: opening, migrating, locks and classes of errors.
//   - telemetry: logs, traces and metrics.
//
// The package guarantees:
//
//   - Mistakes in the configuration are reported all at once, before anything starts, and never contain a [Secret].
//   - Instances can start in any order and at the same time: opening waits for the database, and migrations take a lock.
//     In the meantime /livez returns 200 and every other path 503.
//   - The error of an HTTP handler reaches the client as RFC 9457 problem details without internals, and the log once.
//   - With an Idempotency-Key, the work and its stored reply commit together or not at all; see httpapi.Idempotent.
//   - At the end readiness turns false, then after a delay the requests under way finish, then the handlers and the
//     background work, within one deadline.
//   - Memory for request bodies is bounded, and a slow body ends its request, not the service.
package chassis
