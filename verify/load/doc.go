// Package load lets customers come to a running shop at a rate, and says how the shop did.
//
// It promises an open loop: customers come by the clock, whether or not those before them have been served, and what
// they waited is counted from the moment when they were to come. A slow shop, or a machine too slow to send in time,
// makes for long waits, never for fewer customers. It is bounded all the same: in its rate, in how many orders there are
// in all, and in how many are open at a time; whoever comes beyond that is turned away, and counted. Everything goes
// through HTTP, to products of its own, and nothing is broken on purpose, so that it can be played on any shop, and be
// killed at any moment.
//
// The way of a run: mix.go deals stories.go out to the customers of schedule.go; customer.go is what each of them does,
// follow.go finds out how their orders end; summary.go sums up, text.go and progress.go show it.
package load
