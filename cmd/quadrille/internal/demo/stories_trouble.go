package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

var processorAway = Story{
	Name:  "processor-away",
	Title: "The card processor is away for a while",
	About: "It refuses every connection. That is no reason to cancel: a card that is declined is an answer, a processor " +
		"that is away is none.",
	Moral: "The event stayed where it was, payment asked again and again, and no attempt was counted against the order. A " +
		"minute or a night would have ended the same way.",
	expect: ending{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Bow tie", 3); err != nil {
			return err
		}
		// A listener is closed for everybody: other orders wait meanwhile, too.
		down, err := s.breaks(ctx, s.client.shop.Processor, rule{Action: "down"})
		if err != nil {
			return err
		}
		s.act("processor", "goes away: it refuses every connection")
		if err := s.place(ctx, s.request(1)); err != nil {
			return err
		}
		if err := s.awaitState(ctx, reserved); err != nil {
			return err
		}
		if err := s.awaitPayment(ctx, "charging"); err != nil {
			return err
		}
		if err := stackclient.Sleep(ctx, time.Second); err != nil { // payment tries meanwhile
			return err
		}
		s.act("processor", "is back")
		return down.mend(ctx)
	},
}

const clicks = 5

var twice = Story{
	Name:  "twice",
	Title: "The same request, again and again",
	About: "An impatient customer clicks five times at once, and a browser sends it all again later. Every one of these " +
		"requests has the same Idempotency-Key.",
	Moral: "The key and the order were written in one transaction, so that the key is taken exactly if there is an order. " +
		"The same idea (an “inbox”) keeps each service from taking one event twice.",
	expect: ending{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Theatre ticket", 10); err != nil {
			return err
		}
		s.orders(s.request(1))
		s.act("customer", fmt.Sprintf("clicks %d times at once: %d requests, one key", clicks, clicks))
		accepted, told, err := s.click(ctx)
		if err != nil {
			return err
		}
		if err := s.follow(ctx, accepted); err != nil {
			return err
		}
		s.act(order, told)
		if err := s.awaitState(ctx, completed); err != nil {
			return err
		}
		s.act("customer", "sends the same request once more")
		again, err := s.send(ctx)
		if err != nil {
			return err
		}
		if id, err := orderIn(again); err != nil || id != s.id() || again.Header.Get("Idempotency-Replayed") != "true" {
			return fmt.Errorf("the request that came again should get the first answer again: %w", errors.Join(err, &stackclient.StatusError{Call: "it got", Answer: again}))
		}
		s.act(order, "gives the first answer again, and does nothing")

		list, err := s.client.OrdersOf(ctx, s.req.CustomerID)
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("the customer should have one order, and has %d", len(list))
		}
		return nil
	},
}

// click sends one request several times at once. One makes the order; the others get its answer, or are told that it
// is being made.
func (s *stage) click(ctx context.Context) (accepted stackclient.Answer, told string, err error) {
	var (
		start, done sync.WaitGroup
		answers     [clicks]stackclient.Answer
		errs        [clicks]error
	)
	start.Add(1)
	for i := range clicks {
		done.Go(func() {
			start.Wait()
			answers[i], errs[i] = s.send(ctx)
		})
	}
	start.Done()
	done.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return stackclient.Answer{}, "", err
	}
	ids := map[string]bool{}
	replayed, busy := 0, 0
	for _, a := range answers {
		if a.Status == http.StatusConflict {
			busy++
			continue
		}
		id, err := orderIn(a)
		if err != nil {
			return stackclient.Answer{}, "", err
		}
		ids[id], accepted = true, a
		if a.Header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if len(ids) != 1 || replayed+busy != clicks-1 {
		return stackclient.Answer{}, "", fmt.Errorf("one request should make one order; it made %d", len(ids))
	}
	told = "takes one of them"
	if replayed > 0 {
		told += fmt.Sprintf("; gives %d the same answer", replayed)
	}
	if busy > 0 {
		told += fmt.Sprintf("; tells %d that it is busy with it (409)", busy)
	}
	return accepted, told, nil
}

// orderIn is the id of the order in an answer that accepts it.
func orderIn(a stackclient.Answer) (string, error) {
	var o stackclient.Order
	if a.Status != http.StatusAccepted || json.Unmarshal(a.Body, &o) != nil || o.ID == "" {
		return "", &stackclient.StatusError{Call: "POST /api/v1/orders", Answer: a}
	}
	return o.ID, nil
}

var killed = Story{
	Name:  "killed",
	Title: "The shop is killed in the middle",
	About: "At the worst moment: the processor has taken the money, and its answer has not arrived. Then kill -9: whatever " +
		"was only in memory is gone. Will the customer pay twice, or pay for nothing?",
	Moral: "After the start payment found its own note that it had asked for the money, asked the processor what had become " +
		"of it instead of charging again, and the dance went on where it had stopped.",
	Kills:  true,
	expect: ending{state: completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	play: func(ctx context.Context, s *stage) error {
		if _, err := s.stock(ctx, "Ball gown", 3); err != nil {
			return err
		}
		held, err := s.placeInto(ctx, s.request(1), s.client.shop.Processor, "create",
			rule{Match: match{Operation: "confirm"}, Action: "pause", When: "after"})
		if err != nil {
			return err
		}
		if err := s.happened(ctx, held, "the processor to take the money"); err != nil {
			return err
		}
		s.act("processor", "has taken the money; its answer is on the way")
		t, err := s.client.till(ctx, s.id())
		if err != nil {
			return err
		}
		if t.Captures != 1 {
			return fmt.Errorf("the processor should have taken the money once by now, and has %d times", t.Captures)
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		if err := s.client.shop.Kill(ctx); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		s.act("kill -9", "the whole shop is gone")
		s.act("start", "it comes back, with nothing but what it had written down")
		if err := s.client.shop.Start(ctx); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		return held.mend(ctx)
	},
}
