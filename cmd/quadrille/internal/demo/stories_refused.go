package demo

import (
	"context"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

var happy = Story{
	Name:  "happy",
	Title: "All goes well",
	About: "A customer orders two pairs of dance shoes. Nobody is in charge: inventory hears of the order and sets them " +
		"aside; payment hears of that and charges the card; shipping hears of that and books a parcel.",
	Moral: "Each service wrote what it did, and the event that tells of it, into its own database in one transaction (an " +
		"“outbox”). Nobody can have done something that the others never hear of.",
	expect: ending{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 2},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Dance shoes", 5); err != nil {
			return err
		}
		return s.place(ctx, s.request(2))
	},
}

var outOfStock = Story{
	Name:  "out-of-stock",
	Title: "Out of stock",
	About: "A violin and two fans are ordered, and there is no second fan. Will the violin be set aside for an order " +
		"that cannot be filled, or the card be charged?",
	Moral:  "A refusal is an event like any other. Payment charges when it hears that everything is set aside; it never did.",
	expect: ending{state: cancelled, reason: "out_of_stock", says: "Nothing was charged", parcel: noParcel},
	play: func(ctx context.Context, s *stage) error {
		violin, err := s.stock(ctx, "Violin", 1)
		if err != nil {
			return err
		}
		fan, err := s.stock(ctx, "Fan", 1)
		if err != nil {
			return err
		}
		req := s.request(1)
		req.Items = []stackclient.Item{{SKU: violin, Quantity: 1}, {SKU: fan, Quantity: 2}}
		return s.place(ctx, req)
	},
}

var declinedCard = Story{
	Name:  "declined",
	Title: "The card is declined",
	About: "The gloves are set aside already when the bank says no. Somebody has to put them back, and nobody is in charge.",
	Moral: "Undoing goes the way of doing: inventory heard that the payment had failed, and put the gloves back by itself.",
	expect: ending{
		state: cancelled, reason: "card_declined", says: "Nothing was charged", parcel: noParcel,
	},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Gloves", 3); err != nil {
			return err
		}
		req := s.request(1)
		req.PaymentMethod = stackclient.Declines
		return s.place(ctx, req)
	},
}

var undeliverable = Story{
	Name:  "undeliverable",
	Title: "The address does not exist",
	About: "The card has been charged when the carrier says that it cannot deliver there. Now the money has to go back, " +
		"all of it and only once, and then the items.",
	Moral: "What was done was undone by those who had done it, each on hearing of the one before: shipping failed, so " +
		"payment refunded, so inventory released.",
	expect: ending{
		state: cancelled, reason: "undeliverable", says: "got your money back", captures: 1, parcel: noParcel,
	},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Dance card", 3); err != nil {
			return err
		}
		req := s.request(2)
		req.ShippingAddress.PostalCode = stackclient.Undeliverable
		return s.place(ctx, req)
	},
}
