package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/services/order"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Config configures a demo.
type Config struct {
	Stack   Stack
	Stories []Story // default: all
	// Reconcile checks these orders, as soon as nothing about them is under way.
	Reconcile func(ctx context.Context, orders []string) (reconcile.Report, error)
	// Timeout is how long a story waits for each expected result.
	Timeout time.Duration
}

// Screen shows a demo while it runs: Text for people, JSON for programs. Its methods are called one at a time.
type Screen interface {
	Open(c Config)
	Begin(n, of int, s Story)
	Row(s Story, orderID string, r Row, since time.Duration)
	End(s Story, r Result)
	Summary(o Outcome)
	// Err returns the first error of the output. The demo ends when there is one.
	Err() error
}

// Result is the result of one story.
type Result struct {
	OK             bool
	Skipped        string   // why the story did not run
	Failures       []string // what is not as expected
	RemainingFault string   // a fault that could not be removed; also among the failures
	Took           time.Duration

	OrderID  string
	State    order.State
	Reason   order.Reason
	Message  string
	Total    int64 // minor units
	Currency string
	Captures int
	Captured int64 // minor units, at the card processor
	Refunded int64
	Parcel   string // at the carrier
	SKU      string // the product, and its stock
	Before   int
	OnHand   int
	Reserved int
}

// Outcome is the result of the demo.
type Outcome struct {
	Ran, Skipped, Failed int
	Took                 time.Duration
	Report               *reconcile.Report // nil if there is none
	Err                  error             // why there is none
}

// Status returns the exit status: that of the reconciliation, or 1 if a story failed.
func (o Outcome) Status() int {
	switch {
	case o.Failed > 0 || o.Report == nil && o.Ran > 0:
		return reconcile.StatusFindings
	case o.Report == nil:
		return reconcile.StatusClean
	default:
		return o.Report.Status()
	}
}

// Run runs the stories one after the other, and then reconciles their orders. It returns an error if the stack cannot be
// used, the output fails, or ctx ends. Even then it tries to remove all faults, and the error has those that remain.
func Run(ctx context.Context, c Config, screen Screen) (Outcome, error) {
	began := time.Now()
	if c.Stories == nil {
		c.Stories = Stories
	}
	client := newClient(c.Stack)
	defer client.Close()
	screen.Open(c)
	if err := screen.Err(); err != nil {
		return Outcome{}, err
	}
	if err := client.check(ctx); ctx.Err() != nil {
		return Outcome{}, stopped("")
	} else if err != nil {
		return Outcome{}, err
	}
	var (
		o      Outcome
		orders []string
	)
	for i, story := range c.Stories {
		screen.Begin(i+1, len(c.Stories), story)
		r := runStory(ctx, client, c.Timeout, story, screen)
		if ctx.Err() != nil {
			return o, stopped(r.RemainingFault)
		}
		if screen.Err() == nil {
			screen.End(story, r)
		}
		if err := screen.Err(); err != nil {
			return o, outputLost(err, r.RemainingFault)
		}
		switch {
		case r.Skipped != "":
			o.Skipped++
		case !r.OK:
			o.Failed++
		}
		if r.Skipped == "" {
			o.Ran++
		}
		if r.OrderID != "" {
			orders = append(orders, r.OrderID)
		}
	}
	if len(orders) > 0 {
		report, err := c.Reconcile(ctx, orders)
		if ctx.Err() != nil {
			return o, stopped("")
		}
		if o.Err = err; err == nil {
			o.Report = &report
		}
	}
	o.Took = time.Since(began)
	screen.Summary(o)
	return o, screen.Err()
}

// stopped returns the error of a demo that was stopped.
func stopped(remaining string) error {
	if remaining != "" {
		return fmt.Errorf("stopped; %s", remaining)
	}
	return errors.New("stopped; no fault is left in force")
}

// outputLost returns the error of a demo whose output has failed.
func outputLost(err error, remaining string) error {
	if remaining != "" {
		return fmt.Errorf("stopped, because of %w; %s", err, remaining)
	}
	return err
}

// runStory runs one story to its end.
func runStory(ctx context.Context, client *client, timeout time.Duration, story Story, screen Screen) (result Result) {
	if story.Kills && client.stack.Kill == nil {
		return Result{Skipped: "the demo cannot kill this stack; without --against, it starts one that it can kill"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	r := &runner{client: client, timeout: timeout, products: map[string]product{}}
	r.rows = &timeline{show: func(row Row, since time.Duration) {
		screen.Row(story, r.id(), row, since)
		if screen.Err() != nil {
			cancel() // the output has failed
		}
	}}

	err := story.run(ctx, r)
	if err == nil {
		result, err = r.awaitEnd(ctx, story.expect)
	}
	faultErr := r.removeFaults(ctx)
	if r.watcher != nil {
		if err == nil {
			err = r.awaitShown(ctx)
		}
		r.stop()
		result.OrderID = r.id()
	}
	if err != nil {
		result.Failures = append(result.Failures, err.Error())
	}
	if faultErr != nil {
		result.RemainingFault = fmt.Sprintf("a fault is still in force: %v", faultErr)
		result.Failures = append(result.Failures, result.RemainingFault)
	}
	result.OK, result.Took = len(result.Failures) == 0, time.Since(began)
	return result
}

// awaitEnd blocks until the order has ended and everything is as expected, and returns what is not.
func (r *runner) awaitEnd(ctx context.Context, want expectation) (result Result, err error) {
	err = r.eventually(ctx, "the end of the order", func(ctx context.Context) (bool, string, error) {
		if result, err = r.inspect(ctx); err != nil {
			return false, "", err
		}
		result.Failures = want.mismatches(result)
		// A wrong final state does not change any more. Everything else may still change.
		wrong := result.State.Ended() && result.State != want.state
		return len(result.Failures) == 0 || wrong, strings.Join(result.Failures, "; "), nil
	})
	if errors.Is(err, stackclient.ErrTimeout) && len(result.Failures) > 0 {
		return result, nil // the failures have more details
	}
	return result, err
}

// inspect reads the order, and what the card processor, the carrier and inventory have about it.
func (r *runner) inspect(ctx context.Context) (Result, error) {
	o, err := r.client.Order(ctx, r.id())
	if err != nil {
		return Result{}, err
	}
	charged, err := r.client.charges(ctx, r.id())
	if err != nil {
		return Result{}, err
	}
	parcel, err := r.client.parcels(ctx, r.id())
	if err != nil {
		return Result{}, err
	}
	p, err := r.client.Product(ctx, r.sku)
	if err != nil {
		return Result{}, err
	}
	return Result{
		OrderID: o.ID, State: order.State(o.State), Reason: order.Reason(o.Reason), Message: o.Message, Total: o.Total.Amount, Currency: o.Total.Currency,
		Captures: charged.Captures, Captured: charged.Captured, Refunded: charged.Refunded, Parcel: parcel,
		SKU: r.sku, Before: r.products[r.sku].units, OnHand: p.OnHand, Reserved: p.Reserved,
	}, nil
}

func (want expectation) mismatches(r Result) (all []string) {
	compare := func(what string, got, expected any) {
		if got != expected {
			all = append(all, fmt.Sprintf("%s: expected %v, found %v", what, expected, got))
		}
	}
	money := func(amount int64) stackclient.Money { return stackclient.Money{Amount: amount, Currency: r.Currency} }
	refunded := r.Captured
	if want.kept {
		refunded = 0
	}
	compare("the order's state", r.State, want.state)
	compare("its reason", cmp.Or(r.Reason, "none"), cmp.Or(want.reason, "none"))
	if !strings.Contains(r.Message, want.message) {
		all = append(all, fmt.Sprintf("message to the customer: expected %q, found %q", want.message, r.Message))
	}
	compare("charges at the card processor", r.Captures, want.captures)
	compare("amount charged", money(r.Captured), money(int64(want.captures)*r.Total))
	compare("amount refunded", money(r.Refunded), money(refunded))
	compare("the parcel at the carrier", r.Parcel, want.parcel)
	compare("units on hand", r.OnHand, r.Before-want.sold)
	compare("units reserved", r.Reserved, 0)
	return all
}
