package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

var processorUnavailable = Story{
	Name:  "processor-down",
	Title: "The card processor is down for a while",
	About: "It refuses every connection. That is no reason to cancel the order: a declined card is a result, an unavailable " +
		"processor is none.",
	Takeaway: "The event stayed in its queue, and payment retried it. The outage did not count as an attempt, so the result " +
		"would be the same after a minute or a night.",
	expect: expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Bow tie", 3); err != nil {
			return err
		}
		// The fault closes the listener, so other orders wait as well.
		down, err := r.inject(ctx, r.client.stack.Processor, fault{Action: "down"})
		if err != nil {
			return err
		}
		r.addAction("processor", "is down: it refuses every connection")
		if err := r.place(ctx, r.request(1)); err != nil {
			return err
		}
		if err := r.awaitState(ctx, order.Reserved); err != nil {
			return err
		}
		if err := r.awaitPayment(ctx, "charging"); err != nil {
			return err
		}
		if err := stackclient.Sleep(ctx, time.Second); err != nil { // payment tries to charge the card
			return err
		}
		r.addAction("processor", "is up again")
		return down.remove(ctx)
	},
}

const clicks = 5

var duplicateRequests = Story{
	Name:  "twice",
	Title: "The same request, again and again",
	About: "An impatient customer clicks five times, and the browser repeats the request later. All of these requests have " +
		"the same Idempotency-Key.",
	Takeaway: "The key and the order were stored in one transaction, so the key exists exactly if the order exists. The same " +
		"idea (an “inbox”) keeps a service from handling an event twice.",
	expect: expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Theatre ticket", 10); err != nil {
			return err
		}
		r.announceOrder(r.request(1))
		r.addAction("customer", fmt.Sprintf("clicks %d times at once: %d requests, one key", clicks, clicks))
		accepted, description, err := r.sendConcurrently(ctx)
		if err != nil {
			return err
		}
		if err := r.watch(ctx, accepted); err != nil {
			return err
		}
		r.addAction(orderService, description)
		if err := r.awaitState(ctx, order.Completed); err != nil {
			return err
		}
		r.addAction("customer", "sends the same request once more")
		again, err := r.send(ctx)
		if err != nil {
			return err
		}
		if id, err := orderIn(again); err != nil || id != r.id() || again.Header.Get("Idempotency-Replayed") != "true" {
			return fmt.Errorf("expected the first response again: %w", errors.Join(err, &stackclient.StatusError{Call: "got", Response: again}))
		}
		r.addAction(orderService, "repeats the first response, and does nothing else")

		list, err := r.client.Orders(ctx, r.req.CustomerID)
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("the customer has %d orders, expected 1", len(list))
		}
		return nil
	},
}

// sendConcurrently sends one request several times at once. It returns a response that accepts the order, and a description
// of all responses: one request creates the order, the other ones get the same response, or a conflict while the first one
// is in progress.
func (r *runner) sendConcurrently(ctx context.Context) (accepted stackclient.Response, description string, err error) {
	var (
		start, done sync.WaitGroup
		responses   [clicks]stackclient.Response
		errs        [clicks]error
	)
	start.Add(1)
	for i := range clicks {
		done.Go(func() {
			start.Wait()
			responses[i], errs[i] = r.send(ctx)
		})
	}
	start.Done()
	done.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return stackclient.Response{}, "", err
	}
	ids := map[string]bool{}
	replayed, busy := 0, 0
	for _, resp := range responses {
		if resp.Status == http.StatusConflict {
			busy++
			continue
		}
		id, err := orderIn(resp)
		if err != nil {
			return stackclient.Response{}, "", err
		}
		ids[id], accepted = true, resp
		if resp.Header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if len(ids) != 1 || replayed+busy != clicks-1 {
		return stackclient.Response{}, "", fmt.Errorf("one request created %d orders, expected 1", len(ids))
	}
	description = "accepts one of them"
	if replayed > 0 {
		description += fmt.Sprintf("; repeats the response for %d", replayed)
	}
	if busy > 0 {
		description += fmt.Sprintf("; responds to %d with 409, because the first is in progress", busy)
	}
	return accepted, description, nil
}

// orderIn returns the id of the order in a response that accepts it.
func orderIn(resp stackclient.Response) (string, error) {
	var o stackclient.Order
	if resp.Status != http.StatusAccepted || json.Unmarshal(resp.Body, &o) != nil || o.ID == "" {
		return "", &stackclient.StatusError{Call: "POST /api/v1/orders", Response: resp}
	}
	return o.ID, nil
}

var killedStack = Story{
	Name:  "killed",
	Title: "All services are killed in the middle",
	About: "The card processor has charged the card, and its response is still on the way. At this moment everything is " +
		"killed with kill -9, and what was only in memory is lost. Will the customer pay twice, or pay for nothing?",
	Takeaway: "After the restart, payment found in its database that it had asked for the charge. It asked the card processor " +
		"for the result, and did not charge the card again. Then the choreography continued.",
	Kills:  true,
	expect: expectation{state: order.Completed, captures: 1, kept: true, parcel: "delivered", sold: 1},
	run: func(ctx context.Context, r *runner) error {
		if _, err := r.addProduct(ctx, "Ball gown", 3); err != nil {
			return err
		}
		paused, err := r.placeWithFault(ctx, r.request(1), r.client.stack.Processor, "create",
			fault{Match: match{Operation: "confirm"}, Action: "pause", When: "after"})
		if err != nil {
			return err
		}
		if err := r.awaitFired(ctx, paused, "the charge"); err != nil {
			return err
		}
		r.addAction("processor", "has charged the card; its response is on the way")
		charged, err := r.client.charges(ctx, r.id())
		if err != nil {
			return err
		}
		if charged.Captures != 1 {
			return fmt.Errorf("the card processor has %d charges, expected 1", charged.Captures)
		}
		if err := r.awaitShown(ctx); err != nil {
			return err
		}
		if err := r.client.stack.Kill(ctx); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		r.addAction("kill -9", "everything is gone, except for the databases")
		r.addAction("start", "all services start again")
		if err := r.client.stack.Start(ctx); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		return paused.remove(ctx)
	},
}
