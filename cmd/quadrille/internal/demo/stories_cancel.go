package demo

import (
	"context"
	"net/http"
)

var changedMind = Story{
	Name:  "cancelled",
	Title: "The customer cancels, in time",
	About: "The card processor has been asked to charge the card and has not answered, when the customer cancels. Seen " +
		"from payment, the card may have been charged or not. (The demo has the processor hold its answer, to look closely.)",
	Moral: "“Perhaps charged” is not “not charged”. Payment made a note of the cancellation, waited for the answer, and " +
		"gave back what had turned out to be taken.",
	expect: ending{state: cancelled, reason: "customer", says: "got your money back", captures: 1, parcel: noParcel},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Opera glass", 3); err != nil {
			return err
		}
		held, err := s.placeInto(ctx, s.request(1), s.client.shop.Processor, "create",
			rule{Match: match{Operation: "confirm"}, Action: "pause"})
		if err != nil {
			return err
		}
		if err := s.happened(ctx, held, "the processor to be asked for the money"); err != nil {
			return err
		}
		s.act("processor", "has been asked for the money, and does not answer")
		if err := s.cancel(ctx, http.StatusAccepted); err != nil {
			return err
		}
		if err := s.awaitPayment(ctx, "charging_cancel"); err != nil {
			return err
		}
		s.act("processor", "answers: the card was charged")
		return held.mend(ctx)
	},
}

var tooLate = Story{
	Name:  "too-late",
	Title: "The customer cancels, too late",
	About: "The parcel has been handed over when the customer asks to cancel. (The demo has the carrier hold the " +
		"delivery meanwhile.)",
	Moral: "A cancellation is a wish, and the facts decide. This one was refused with its reason, and nothing at all " +
		"happened to the order.",
	expect: ending{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Top hat", 3); err != nil {
			return err
		}
		held, err := s.placeInto(ctx, s.request(1), s.client.shop.Carrier, "deliver",
			rule{Match: match{Operation: "deliver"}, Action: "pause"})
		if err != nil {
			return err
		}
		if err := s.awaitState(ctx, shipped); err != nil {
			return err
		}
		if err := s.cancel(ctx, http.StatusConflict); err != nil {
			return err
		}
		return held.mend(ctx)
	},
}
