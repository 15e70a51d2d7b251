package demo

import (
	"context"
	"net/http"

	"github.com/quadrille-dev/quadrille/services/order"
)

var cancelledInTime = Story{
	Name:  "cancelled",
	Title: "The customer cancels in time",
	About: "Payment has asked the card processor to charge the card, and has no response yet. Then the customer cancels. The " +
		"card may have been charged or not. (The demo pauses the card processor to make this visible.)",
	Takeaway: "“Perhaps charged” is not “not charged”. Payment stored the cancellation, waited for the response, and refunded " +
		"what had been charged.",
	expect: expectation{
		state: order.Cancelled, reason: order.ByCustomer, message: "got your money back", captures: 1, parcel: noParcel,
	},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Opera glass", 3); err != nil {
			return err
		}
		paused, err := r.placeWithFault(ctx, r.request(1), r.client.stack.Processor, "create",
			fault{Match: match{Operation: "confirm"}, Action: "pause"})
		if err != nil {
			return err
		}
		if err := r.awaitFired(ctx, paused, "the request to charge the card"); err != nil {
			return err
		}
		r.addAction("processor", "has the request to charge the card, and does not respond")
		if err := r.cancel(ctx, http.StatusAccepted); err != nil {
			return err
		}
		if err := r.awaitPayment(ctx, "charging_cancel"); err != nil {
			return err
		}
		r.addAction("processor", "responds: the card is charged")
		return paused.remove(ctx)
	},
}

var cancelledTooLate = Story{
	Name:  "too-late",
	Title: "The customer cancels too late",
	About: "The parcel has left the warehouse when the customer asks to cancel. (The demo pauses the delivery to make this " +
		"visible.)",
	Takeaway: "A cancellation is only a request. The order service refused this one with a reason, and the order continued.",
	expect:   expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Top hat", 3); err != nil {
			return err
		}
		paused, err := r.placeWithFault(ctx, r.request(1), r.client.stack.Carrier, "deliver",
			fault{Match: match{Operation: "deliver"}, Action: "pause"})
		if err != nil {
			return err
		}
		if err := r.awaitState(ctx, order.Shipped); err != nil {
			return err
		}
		if err := r.cancel(ctx, http.StatusConflict); err != nil {
			return err
		}
		return paused.remove(ctx)
	},
}
