// Package edges reads the trace of an order as edges of the choreography: an event from one service to another through a
// queue, or a request from or to an external system.
//
//	order -- order.created.v1 --> inventory (inventory.order-created.q)
//
// A [Table] lists the edges of each story. [Read] returns the edges of an order's spans, and flaws in the spans themselves: a
// trace in several parts, a publish span without the span that created the event, a retry without a link to the attempt before
// it. [Tree] formats the spans of an order as text.
package edges
