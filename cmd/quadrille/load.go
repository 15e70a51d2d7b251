package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/load"
	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/terminal"
)

const loadHelp = `Let customers come to a running shop at a rate, follow their orders to the end, and have the ledger check the books.

Customers come by the clock, whether or not the shop keeps up, and how long they waited counts from when they were to
come. Stories: %s; docs/load.md says how to read the
outcome. The products are the run's own; they are taken off the shelf again when all is as expected.

Ctrl-C lets nobody else in, and waits for the orders that are open; a second one does not wait.

Exit status: 0 all as expected; 1 an order went otherwise than its story, or the books are off; 2 wrong usage; 3 it could
not be run, or not everything could be checked.`

type loadOptions struct {
	cfg    load.Config
	mix    string
	urls   map[string]*string // by party
	token  string
	ladder string
	ledger bool
	json   bool
}

func loadCommand() *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Let many customers come to a running shop, and measure",
		Long:  fmt.Sprintf(loadHelp, strings.Join(load.Names(), ", ")),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&o.cfg.Rate, "rate", 50, "customers a second")
	f.DurationVar(&o.cfg.For, "for", 30*time.Second, "how long they come")
	f.StringVar(&o.mix, "mix", load.DefaultMix, "what they do, in which proportion")
	f.IntVar(&o.cfg.InFlight, "in-flight", 2000, "how many orders may be open at a time; whoever comes then is turned away")
	f.DurationVar(&o.cfg.Patience, "wait", time.Minute, "how long to wait for an answer, and for the next order to end")
	f.BoolVar(&o.ledger, "ledger", true, "have the ledger check the books of these orders")
	f.BoolVar(&o.json, "json", false, "answer in JSON, and show no progress")
	o.urls = shopFlags(f)
	f.StringVar(&o.token, "token", "", "the operators' token, for the ledger (OPS_TOKEN)")
	f.StringVar(&o.ladder, "retry-ladder", os.Getenv("RETRY_DELAYS"), "as in topology apply, for the ledger (RETRY_DELAYS)")
	return cmd
}

func (o loadOptions) run(cmd *cobra.Command) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	cfg.Enough = cmd.Context().Done()
	ctx, stop := untilSecondSignal(cmd.Context())
	defer stop()
	wipe := func() {}
	if !o.json {
		screen := terminal.Of(cmd.ErrOrStderr(), os.Getenv)
		cfg.Interval = 5 * time.Second
		if screen.Redraws {
			cfg.Interval = 200 * time.Millisecond
		}
		cfg.Progress, wipe = load.NewProgress(cmd.ErrOrStderr(), screen.Width, screen.Redraws)
	}
	summary, err := load.Run(ctx, cfg)
	wipe()
	if err != nil {
		return &exitError{reconcile.StatusNotChecked, err}
	}
	if o.json {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(summary)
	} else {
		err = summary.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return &exitError{reconcile.StatusNotChecked, fmt.Errorf("the outcome cannot be told: %w", err)}
	}
	if summary.Status != reconcile.StatusClean {
		return &exitError{status: summary.Status}
	}
	return nil
}

func (o loadOptions) config() (cfg load.Config, err error) {
	cfg = o.cfg
	if cfg.Mix, err = load.ParseMix(o.mix); err != nil {
		return cfg, wrongUsage("--mix: %w", err)
	}
	if err := cfg.Check(); err != nil {
		return cfg, wrongUsage("%w", err)
	}
	urls := map[string]string{}
	for party, url := range o.urls {
		urls[party] = *url
	}
	if cfg.Shop, err = shopAt(urls, o.token); err != nil {
		return cfg, err
	}
	if !o.ledger {
		return cfg, nil
	}
	if cfg.Shop.Token == "" {
		return cfg, wrongUsage("which token? Give --token or OPS_TOKEN, or --ledger=false")
	}
	topologies, err := parseTopologies(o.ladder)
	if err != nil {
		return cfg, wrongUsage("%w", err)
	}
	cfg.Ledger = func(ctx context.Context, orders []string) (reconcile.Report, error) {
		l := reconcile.New(reconcile.Config{
			URLs: booksOf(cfg.Shop), Token: cfg.Shop.Token, Topologies: topologies, Orders: orders,
			Overdue: 15 * time.Minute, Confirm: time.Second, Wait: cfg.Patience, Settled: true,
		})
		defer l.Close()
		return l.Check(ctx)
	}
	return cfg, nil
}

// untilSecondSignal is a context for what goes on after the first signal, which has ended first. The third one has its
// default effect.
func untilSecondSignal(first context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(first))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-ctx.Done():
			}
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}
