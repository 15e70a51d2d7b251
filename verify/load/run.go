package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// What a run may ask for.
const (
	MaxRate     = 1000 // orders a second
	MaxOrders   = 100_000
	MaxInFlight = 10_000
)

// Config says who comes where, how often and for how long. Check it first.
type Config struct {
	Shop stackclient.Shop
	Rate float64 // orders a second
	For  time.Duration
	Mix  Mix
	// InFlight is how many orders may be open at a time, from the moment when the customer comes until the order has
	// ended. Whoever comes beyond that is turned away and counted.
	InFlight int
	// Patience is how long a customer repeats a request that is not answered, and how long Run waits for the next order
	// to end once nobody comes any more.
	Patience time.Duration
	// Enough ends the arrivals early. Nil: never.
	Enough <-chan struct{}
	// Ledger checks the books of these orders, once nothing about them is under way. Nil: nobody does.
	Ledger func(ctx context.Context, orders []string) (reconcile.Report, error)
	// Progress is called at this interval, and when a stage begins, from one goroutine at a time. Nil: never.
	Progress func(Progress)
	Interval time.Duration

	way http.RoundTripper // to the shop; default: the network
}

// Check says what is wrong with the rate and its like, and names the flag of quadrille load.
func (c Config) Check() error {
	orders := c.Rate * c.For.Seconds()
	switch {
	case !(c.Rate > 0 && c.Rate <= MaxRate):
		return fmt.Errorf("--rate must be above 0 and at most %d orders a second", MaxRate)
	case c.For <= 0:
		return errors.New("--for must be positive")
	case orders > MaxOrders:
		return fmt.Errorf("--rate %v --for %v: %.0f orders are more than %d; lower one of them", c.Rate, c.For, orders, MaxOrders)
	case len(c.Mix) == 0:
		return errors.New("--mix needs a story")
	case c.InFlight < 1 || c.InFlight > MaxInFlight:
		return fmt.Errorf("--in-flight must be from 1 to %d", MaxInFlight)
	case c.Patience <= 0:
		return errors.New("--wait must be positive")
	}
	return nil
}

// Run fills the shelf, lets customers come, waits until all orders have ended, and has the ledger check what they left
// behind. It blocks until then; Config.Enough ends the arrivals, the end of ctx ends everything. Its error is that no
// customer came: the shop is not there, or it was enough before. Everything else is in the summary.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := stackclient.New(cfg.Shop)
	if cfg.way != nil {
		client = stackclient.NewVia(cfg.Shop, cfg.way)
	}
	defer client.Close()
	plan := planned(cfg.Rate, cfg.For)
	watch := newWatch(cfg)
	defer watch.stop()

	watch.stage("The shelf is being filled.")
	if err := client.CheckServices(ctx); err != nil {
		return Summary{}, err
	}
	if cfg.Ledger != nil {
		if err := client.CheckSimulators(ctx); err != nil {
			return Summary{}, err
		}
	}
	run := uuid.NewString()[:8]
	shelf, err := fill(ctx, client, run, plan.n, cfg.Patience)
	if err != nil {
		return Summary{}, err
	}

	select {
	case <-cfg.Enough:
		return Summary{}, errors.Join(errNobodyCame, shelf.clear(ctx))
	default:
	}

	c := newCrowd(cfg, run, client, shelf)
	arriving, closeDoor := context.WithCancel(ctx)
	defer closeDoor()
	go func() {
		select {
		case <-cfg.Enough:
			closeDoor()
		case <-arriving.Done():
		}
	}()
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	followed := make(chan struct{})
	go func() {
		c.follow(following)
		close(followed)
	}()

	start := time.Now()
	watch.arrivals(start, c)
	came := plan.run(arriving, start, func(due time.Time) { c.come(following, due) })
	closed := time.Now()
	closeDoor()
	if came == plan.n {
		closed = start.Add(cfg.For) // when the next one would have come
	}
	watch.stage("")
	c.drain(ctx)
	stopFollowing()
	c.customers.Wait()
	<-followed
	if came == 0 {
		return Summary{}, errNobodyCame
	}

	s := c.summary(start, closed, came, ctx.Err() != nil)
	s.EndedEarly = came < plan.n
	watch.stage("")
	if cfg.Ledger != nil {
		watch.stage("The ledger reads the books.")
	}
	c.prove(ctx, &s)
	s.Status = s.status()
	return s, nil
}

var errNobodyCame = errors.New("stopped before the first customer came")

// prove compares the books, and what is left on the shelf, with what the customers know.
func (c *crowd) prove(ctx context.Context, s *Summary) {
	if ids := c.ids(); c.cfg.Ledger != nil && len(ids) > 0 {
		report, err := c.cfg.Ledger(ctx, ids)
		switch {
		case ctx.Err() != nil:
			s.LedgerError = "it was stopped"
		case err != nil:
			s.LedgerError = err.Error()
		default:
			s.Ledger = &report
		}
	}
	sold, known := c.sold()
	if !known {
		return // some orders may still take something, and the summary names them
	}
	err := c.shelf.check(ctx, sold, c.cfg.Patience)
	if err == nil {
		err = c.shelf.clear(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.Shelf = err.Error()
	}
}
