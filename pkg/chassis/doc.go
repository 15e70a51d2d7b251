// Package chassis is what every service needs and none should write: configuration, an HTTP server that speaks
// problem+json, idempotency keys, a database and its migrations, telemetry, logs, health and an orderly end.
// It knows nothing about what a service does.
//
// A service's main is one line, [Main]; its run function opens the database ([OpenDatabase]), migrates it
// ([AsOwner], [Migrate]), puts its handlers on a [Router] and blocks in [Run].
//
// What it promises:
//
//   - Mistakes in the configuration are reported all at once, before anything starts, and never show a [Secret].
//   - Instances may start in any order and at the same time: opening waits for the database, migrating takes a lock. Who
//     asks meanwhile learns that the service is alive and not ready.
//   - A handler's error reaches the client as RFC 9457 problem details without internals, and the log exactly once.
//   - With an Idempotency-Key, the work and the memory of its answer commit together or not at all ([Idempotent]).
//   - At the end, readiness turns false, requests under way finish, then everything else does, by one deadline.
package chassis
