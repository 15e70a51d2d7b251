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

// The limits of a run.
const (
	MaxRate     = 1000 // orders per second
	MaxOrders   = 100_000
	MaxInFlight = 10_000
)

// Config configures a run. Check it first.
type Config struct {
	Stack stackclient.Stack
	Rate  float64 // orders per second
	For   time.Duration
	Mix   Mix
	// InFlight is the highest number of open orders. An order is open from the time at which it is due until it has ended.
	// Further orders are not sent, but counted.
	InFlight int
	// Timeout is how long a request is repeated, and how long Run waits for the next order to end after the last one was
	// placed.
	Timeout time.Duration
	// Stop, if set, ends the placing of orders early when it is closed.
	Stop <-chan struct{}
	// Reconcile, if set, checks these orders at the end, as soon as nothing about them is under way.
	Reconcile func(ctx context.Context, orders []string) (reconcile.Report, error)
	// Progress, if set, is called at this interval and when a phase begins, by one goroutine at a time.
	Progress func(Progress)
	Interval time.Duration

	transport http.RoundTripper // default: the network
}

// Check returns an error if the configuration is invalid. The error names the flag of quadrille load.
func (c Config) Check() error {
	orders := c.Rate * c.For.Seconds()
	switch {
	case !(c.Rate > 0 && c.Rate <= MaxRate):
		return fmt.Errorf("--rate must be above 0 and at most %d orders per second", MaxRate)
	case c.For <= 0:
		return errors.New("--for must be positive")
	case orders > MaxOrders:
		return fmt.Errorf("--rate %v --for %v: %.0f orders are more than %d; lower one of them", c.Rate, c.For, orders, MaxOrders)
	case len(c.Mix) == 0:
		return errors.New("--mix needs a story")
	case c.InFlight < 1 || c.InFlight > MaxInFlight:
		return fmt.Errorf("--in-flight must be from 1 to %d", MaxInFlight)
	case c.Timeout <= 0:
		return errors.New("--wait must be positive")
	}
	return nil
}

// Run creates the products, places the orders, waits until all have ended, and verifies the outcomes. It blocks until then.
// Config.Stop ends the placing of orders, and the end of ctx ends everything. Run returns an error if no order was placed,
// because the stack is not reachable or the run was stopped before. The summary has everything else.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := stackclient.New(cfg.Stack)
	if cfg.transport != nil {
		client = stackclient.NewWithTransport(cfg.Stack, cfg.transport)
	}
	defer client.Close()
	schedule := newSchedule(cfg.Rate, cfg.For)
	progress := newProgressReporter(cfg)
	defer progress.stop()

	progress.phase("Creating products.")
	if err := client.CheckServices(ctx); err != nil {
		return Summary{}, err
	}
	if cfg.Reconcile != nil {
		if err := client.CheckSimulators(ctx); err != nil {
			return Summary{}, err
		}
	}
	run := uuid.NewString()[:8]
	stock, err := createStock(ctx, client, run, schedule.n, cfg.Timeout)
	if err != nil {
		return Summary{}, err
	}

	select {
	case <-cfg.Stop:
		return Summary{}, errors.Join(errNoOrders, stock.delete(ctx))
	default:
	}

	g := newGenerator(cfg, run, client, stock)
	arriving, stopArriving := context.WithCancel(ctx)
	defer stopArriving()
	go func() {
		select {
		case <-cfg.Stop:
			stopArriving()
		case <-arriving.Done():
		}
	}()
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	followed := make(chan struct{})
	go func() {
		g.pollUntilDone(following)
		close(followed)
	}()

	start := time.Now()
	progress.arrivals(start, g)
	placed := schedule.run(arriving, start, func(due time.Time) { g.arrive(following, due) })
	closed := time.Now()
	stopArriving()
	if placed == schedule.n {
		closed = start.Add(cfg.For) // when the next one would be due
	}
	progress.phase("")
	g.drain(ctx)
	stopFollowing()
	g.customers.Wait()
	<-followed
	if placed == 0 {
		return Summary{}, errNoOrders
	}

	s := g.summary(start, closed, placed, ctx.Err() != nil)
	s.StoppedEarly = placed < schedule.n
	progress.phase("")
	if cfg.Reconcile != nil {
		progress.phase("Reconciling.")
	}
	g.verify(ctx, &s)
	s.Status = s.status()
	return s, nil
}

var errNoOrders = errors.New("stopped before the first order")

// verify reconciles the orders, and compares the stock with their outcomes.
func (g *generator) verify(ctx context.Context, s *Summary) {
	if ids := g.ids(); g.cfg.Reconcile != nil && len(ids) > 0 {
		report, err := g.cfg.Reconcile(ctx, ids)
		switch {
		case ctx.Err() != nil:
			s.ReconciliationError = "stopped"
		case err != nil:
			s.ReconciliationError = err.Error()
		default:
			s.Reconciliation = &report
		}
	}
	sold, known := g.sold()
	if !known {
		return // open orders may still change the stock; the summary has them
	}
	err := g.stock.check(ctx, sold, g.cfg.Timeout)
	if err == nil {
		err = g.stock.delete(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.Stock = err.Error()
	}
}
