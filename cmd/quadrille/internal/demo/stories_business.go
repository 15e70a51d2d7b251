package demo

import (
	"context"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

var completedOrder = Story{
	Name:  "happy",
	Title: "All goes well",
	About: "A customer orders two pairs of dance shoes. No service is in charge. Inventory consumes the order's event and " +
		"reserves the shoes. Payment consumes inventory's event and charges the card. Shipping consumes payment's event and " +
		"books a parcel.",
	Takeaway: "Each service stored its change and the event about it in one database transaction (an “outbox”). So there is " +
		"no change without its event, and no event without its change.",
	expect: expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 2},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Dance shoes", 5); err != nil {
			return err
		}
		return r.place(ctx, r.request(2))
	},
}

var outOfStock = Story{
	Name:  "out-of-stock",
	Title: "Out of stock",
	About: "The order is for a violin and two fans, but there is only one fan. Will the violin stay reserved for an order " +
		"that cannot be fulfilled? Will the card be charged?",
	Takeaway: "A refusal is an event like any other. Payment charges the card only after inventory.reserved, which was never " +
		"published.",
	expect: expectation{state: order.Cancelled, reason: order.OutOfStock, message: "Nothing was charged", parcel: noParcel},
	run: func(ctx context.Context, r *runner) error {
		violin, err := r.addProduct(ctx, "Violin", 1)
		if err != nil {
			return err
		}
		fan, err := r.addProduct(ctx, "Fan", 1)
		if err != nil {
			return err
		}
		req := r.request(1)
		req.Items = []stackclient.Item{{SKU: violin, Quantity: 1}, {SKU: fan, Quantity: 2}}
		return r.place(ctx, req)
	},
}

var declinedCard = Story{
	Name:     "declined",
	Title:    "The card is declined",
	About:    "The gloves are reserved already when the bank declines the card. They must become available again.",
	Takeaway: "Compensation works like everything else: inventory consumed payment.failed, and released the gloves.",
	expect:   expectation{state: order.Cancelled, reason: order.CardDeclined, message: "Nothing was charged", parcel: noParcel},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Gloves", 3); err != nil {
			return err
		}
		req := r.request(1)
		req.PaymentMethod = stackclient.CardDeclined
		return r.place(ctx, req)
	},
}

var undeliverable = Story{
	Name:  "undeliverable",
	Title: "The address does not exist",
	About: "The card is charged already when the carrier rejects the address. The customer must get all of the money back, " +
		"once. The items must become available again.",
	Takeaway: "Each service undid its own part after the event of the service before it: shipping failed, so payment " +
		"refunded, so inventory released.",
	expect: expectation{
		state: order.Cancelled, reason: order.Undeliverable, message: "got your money back", captures: 1, parcel: noParcel,
	},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Dance card", 3); err != nil {
			return err
		}
		req := r.request(2)
		req.ShippingAddress.PostalCode = stackclient.Undeliverable
		return r.place(ctx, req)
	},
}
