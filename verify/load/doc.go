// Package load places orders on a running stack at a constant rate, follows each order to its end, and measures.
//
// It is an open loop: requests are sent at fixed times, whether or not earlier ones have a response, and a latency is measured
// from the time at which its request was due. So a slow stack, or a slow machine that generates the load, causes long
// latencies, never fewer requests. The rate, the number of orders, and the number of open orders are bounded; orders beyond
// the last bound are not sent, and counted. Everything goes through HTTP, to products that the run creates, and no fault is
// injected. So a run can be made on any stack, and be killed at any time.
//
// The files: schedule.go has the times of the orders, and mix.go and stories.go their stories. customer.go places and cancels
// them, and poll.go finds out how they end. summary.go summarizes a run; text.go and progress.go print it.
package load
