// Package demo runs short stories of an order on a running stack, and shows every event as it happens.
//
// It uses only HTTP, as customers and operators do. Each story has a product and a customer of its own, so the stories can
// run on any stack, any number of times. A fault that a story injects is removed at the end, also if the demo is stopped. Each
// story verifies its result at the card processor, the carrier and the inventory service.
//
// The files: stories_*.go describe the stories and their expected results. runner.go runs one of them, and faults.go injects
// its faults. watcher.go reads the order and the audit snapshots, transitions.go derives the order's states, and timeline.go
// sorts the rows. text.go and json.go print them.
package demo
