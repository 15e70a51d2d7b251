package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Config says what is played where.
type Config struct {
	Shop    Shop
	Stories []Story // default: all of them
	// Ledger checks the books of these orders, once nothing about them is under way.
	Ledger func(ctx context.Context, orders []string) (reconcile.Report, error)
	// Patience is how long anything may take that a story waits for.
	Patience time.Duration
}

// Screen shows a demo as it goes: Text for people, JSON for programs. Its methods are called one at a time.
type Screen interface {
	Open(c Config)
	Begin(n, of int, s Story)
	Row(s Story, orderID string, r Row, since time.Duration)
	End(s Story, r Result)
	Verdict(o Outcome)
	// Err is the first error of whatever it is shown on. Once there is one, the demo ends.
	Err() error
}

// Result is how a story ended.
type Result struct {
	OK       bool
	Skipped  string   // why it was not played
	Failures []string // what is not as expected
	Broken   string   // what the story broke and could not mend; also among the failures
	Took     time.Duration

	OrderID  string
	State    string
	Reason   string
	Message  string
	Total    int64 // minor units
	Currency string
	Captures int
	Captured int64 // minor units, at the processor
	Refunded int64
	Parcel   string // at the carrier
	SKU      string // what was ordered, and how much of it is on the shelf
	Before   int
	OnHand   int
	Held     int // of those, set aside
}

// Outcome is how the demo ended.
type Outcome struct {
	Played, Skipped, Failed int
	Took                    time.Duration
	Report                  *reconcile.Report // nil if there is none
	Err                     error          // why there is none
}

// Status is the exit status: the ledger's meanings, and 1 if a story went wrong.
func (o Outcome) Status() int {
	switch {
	case o.Failed > 0 || o.Report == nil && o.Played > 0:
		return reconcile.StatusFindings
	case o.Report == nil:
		return reconcile.StatusClean
	default:
		return o.Report.Status()
	}
}

// Run plays the stories, one after the other, and has the ledger check what they left behind. It blocks until then. Its
// error is that the shop cannot be played on, that the screen is gone, or that ctx has ended; it has tried to switch all
// faults off by then, and says if it could not.
func Run(ctx context.Context, c Config, screen Screen) (Outcome, error) {
	began := time.Now()
	if c.Stories == nil {
		c.Stories = Stories
	}
	shop := newClient(c.Shop)
	defer shop.Close()
	screen.Open(c)
	if err := screen.Err(); err != nil {
		return Outcome{}, err
	}
	if err := shop.check(ctx); ctx.Err() != nil {
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
		r := perform(ctx, shop, c.Patience, story, screen)
		if ctx.Err() != nil {
			return o, stopped(r.Broken)
		}
		if screen.Err() == nil {
			screen.End(story, r)
		}
		if err := screen.Err(); err != nil {
			return o, unseen(err, r.Broken)
		}
		switch {
		case r.Skipped != "":
			o.Skipped++
		case !r.OK:
			o.Failed++
		}
		if r.Skipped == "" {
			o.Played++
		}
		if r.OrderID != "" {
			orders = append(orders, r.OrderID)
		}
	}
	if len(orders) > 0 {
		report, err := c.Ledger(ctx, orders)
		if ctx.Err() != nil {
			return o, stopped("")
		}
		if o.Err = err; err == nil {
			o.Report = &report
		}
	}
	o.Took = time.Since(began)
	screen.Verdict(o)
	return o, screen.Err()
}

// stopped says what a demo that is stopped leaves behind.
func stopped(broken string) error {
	if broken != "" {
		return fmt.Errorf("stopped; %s", broken)
	}
	return errors.New("stopped; nothing is left switched off or held back")
}

// unseen says what a demo leaves behind that nobody can see any more.
func unseen(err error, broken string) error {
	if broken != "" {
		return fmt.Errorf("stopped, because of %v; %s", err, broken)
	}
	return err
}

// perform plays one story to its end.
func perform(ctx context.Context, shop *client, patience time.Duration, story Story, screen Screen) (r Result) {
	if story.Kills && shop.shop.Kill == nil {
		return Result{Skipped: "this shop cannot be killed from here; without --against, the demo starts one that can"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	s := &stage{client: shop, patience: patience, goods: map[string]good{}}
	s.rows = &timeline{show: func(row Row, since time.Duration) {
		screen.Row(story, s.id(), row, since)
		if screen.Err() != nil {
			cancel() // nobody sees the rest
		}
	}}

	err := story.play(ctx, s)
	if err == nil {
		r, err = s.ends(ctx, story.expect)
	}
	mend := s.mendAll(ctx)
	if s.feed != nil {
		if err == nil {
			err = s.catchUp(ctx)
		}
		s.stop()
		r.OrderID = s.id()
	}
	if err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	if mend != nil {
		r.Broken = fmt.Sprintf("a fault is still switched on: %v", mend)
		r.Failures = append(r.Failures, r.Broken)
	}
	r.OK, r.Took = len(r.Failures) == 0, time.Since(began)
	return r
}

// ends waits until the order has ended and everybody has settled it, and says what is not as expected.
func (s *stage) ends(ctx context.Context, want ending) (r Result, err error) {
	err = s.eventually(ctx, "the end of the order", func(ctx context.Context) (bool, string, error) {
		if r, err = s.look(ctx); err != nil {
			return false, "", err
		}
		r.Failures = want.differences(r)
		// A state that is final will not get better; what others make of it may still come.
		wrong := (r.State == completed || r.State == cancelled) && r.State != want.state
		return len(r.Failures) == 0 || wrong, strings.Join(r.Failures, "; "), nil
	})
	if errors.Is(err, stackclient.ErrPatience) && len(r.Failures) > 0 {
		return r, nil // they say more
	}
	return r, err
}

// look asks everybody how the order stands.
func (s *stage) look(ctx context.Context) (r Result, err error) {
	o, err := s.client.Order(ctx, s.id())
	if err != nil {
		return r, err
	}
	t, err := s.client.till(ctx, s.id())
	if err != nil {
		return r, err
	}
	parcel, err := s.client.parcels(ctx, s.id())
	if err != nil {
		return r, err
	}
	p, err := s.client.Product(ctx, s.sku)
	if err != nil {
		return r, err
	}
	return Result{
		OrderID: o.ID, State: o.State, Reason: o.Reason, Message: o.Message, Total: o.Total.Amount, Currency: o.Total.Currency,
		Captures: t.Captures, Captured: t.Captured, Refunded: t.Refunded, Parcel: parcel,
		SKU: s.sku, Before: s.goods[s.sku].units, OnHand: p.OnHand, Held: p.Reserved,
	}, nil
}

func (want ending) differences(r Result) (all []string) {
	differs := func(what string, got, expected any) {
		if got != expected {
			all = append(all, fmt.Sprintf("%s: expected %v, found %v", what, expected, got))
		}
	}
	differs("the order's state", r.State, want.state)
	differs("its reason", text(r.Reason), text(want.reason))
	if !strings.Contains(r.Message, want.says) {
		all = append(all, fmt.Sprintf("the customer should be told %q, and is told %q", want.says, r.Message))
	}
	differs("charges at the processor", r.Captures, want.captures)
	differs("taken at the processor", stackclient.Money{Amount: r.Captured, Currency: r.Currency}, stackclient.Money{Amount: int64(want.captures) * r.Total, Currency: r.Currency})
	back := r.Captured
	if want.kept {
		back = 0
	}
	differs("given back at the processor", stackclient.Money{Amount: r.Refunded, Currency: r.Currency}, stackclient.Money{Amount: back, Currency: r.Currency})
	differs("the parcel at the carrier", r.Parcel, want.parcel)
	differs("pieces on the shelf", r.OnHand, r.Before-want.sold)
	differs("pieces set aside", r.Held, 0)
	return all
}

func text(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
