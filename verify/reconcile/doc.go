// Package reconcile checks a whole stack over its HTTP interfaces. It reads the audit snapshots of the services and the
// simulators, and the sizes of the broker's queues, and reports every contradiction.
//
// The snapshots are read one after the other while the stack runs, so a contradiction must last to be a finding. Everything
// that could not be checked is listed in the report. The check changes nothing.
//
// The files: fetch.go reads the snapshots (snapshots.go) once, and reading.go sorts them by order. The rules in rules_*.go are
// pure functions of one reading. checker.go repeats the readings until the result is stable, report.go summarizes it, and
// text.go prints it. watch.go checks at an interval and exports the result as metrics.
package reconcile
