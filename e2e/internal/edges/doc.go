// Package edges reads an order's trace as a choreography: which service told which other what, over which event and
// queue, and whom of the world outside it asked.
//
//	order -- order.created.v1 --> inventory (inventory.order-created.q)
//
// A [Table] says which of these edges a story has. [Read] finds those that spans tell of, and what is wrong with the
// spans themselves: a trace that falls apart, a publication without a creation, a retry that does not say of what.
// [Tree] draws the spans of one order as text.
package edges
