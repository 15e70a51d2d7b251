package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/terminal"
	"github.com/quadrille-dev/quadrille/verify/load"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

const loadHelp = `Place orders on a running stack at a constant rate, follow each order to its end, compare the outcomes with
the expected ones, and reconcile the orders.

Requests are sent at fixed times, whether or not the stack keeps up. A latency is measured from the time at which its
request was due. The command creates products for its own use, and deletes them if all outcomes are as expected.
Stories for --mix: %s. See docs/load.md for the summary.

After the first Ctrl-C, the command places no more orders and waits for the open ones. After the second one, it does not
wait.

Exit status:
  0  every order has an expected outcome, and the reconciliation and the stock agree
  1  some do not
  2  wrong usage
  3  the run was not possible, or not everything could be checked`

type loadOptions struct {
	cfg       load.Config
	mix       string
	urls      map[string]*string // by source
	token     string
	reconcile bool
	json      bool
}

func loadCommand() *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Place orders at a constant rate, and measure",
		Long:  fmt.Sprintf(loadHelp, strings.Join(load.Names(), ", ")),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&o.cfg.Rate, "rate", 50, "orders per second")
	f.DurationVar(&o.cfg.For, "for", 30*time.Second, "how long to place orders")
	f.StringVar(&o.mix, "mix", load.DefaultMix, "proportions of the stories")
	f.IntVar(&o.cfg.InFlight, "in-flight", 2000, "how many orders may be open at a time; further ones are not sent")
	f.DurationVar(&o.cfg.Timeout, "wait", time.Minute, "how long to repeat a request, and to wait for the next order to end")
	f.BoolVar(&o.reconcile, "reconcile", true, "reconcile the orders at the end")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON, and no progress")
	o.urls = addURLFlags(f)
	f.StringVar(&o.token, "token", "", "operators' token, for --reconcile (OPS_TOKEN)")
	addRetryDelays(f)
	return cmd
}

func (o loadOptions) run(cmd *cobra.Command) error {
	cfg, err := o.config(cmd.Flags())
	if err != nil {
		return err
	}
	cfg.Stop = cmd.Context().Done()
	ctx, stop := untilSecondSignal(cmd.Context())
	defer stop()
	wipe := func() {}
	if !o.json {
		screen := terminal.Open(cmd.ErrOrStderr(), os.Getenv)
		cfg.Interval = 5 * time.Second
		if screen.Redraws {
			cfg.Interval = 200 * time.Millisecond
		}
		cfg.Progress, wipe = load.NewProgress(screen.Out, screen.Width, screen.Redraws)
	}
	summary, err := load.Run(ctx, cfg)
	wipe()
	if err != nil {
		return &exitError{reconcile.StatusNotChecked, err}
	}
	if o.json {
		err = writeJSON(cmd, summary)
	} else {
		err = summary.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return &exitError{reconcile.StatusNotChecked, fmt.Errorf("cannot write the summary: %w", err)}
	}
	if summary.Status != reconcile.StatusClean {
		return &exitError{status: summary.Status}
	}
	return nil
}

func (o loadOptions) config(f *pflag.FlagSet) (cfg load.Config, err error) {
	cfg = o.cfg
	if cfg.Mix, err = load.ParseMix(o.mix); err != nil {
		return cfg, wrongUsage("--mix: %w", err)
	}
	if err := cfg.Check(); err != nil {
		return cfg, wrongUsage("%w", err)
	}
	urls := map[string]string{}
	for source, url := range o.urls {
		urls[source] = *url
	}
	if cfg.Stack, err = newStack(urls, o.token); err != nil {
		return cfg, err
	}
	if !o.reconcile {
		return cfg, nil
	}
	if cfg.Stack.Token == "" {
		return cfg, wrongUsage("missing token: set --token or OPS_TOKEN, or --reconcile=false")
	}
	topologies, err := parseTopologies(f)
	if err != nil {
		return cfg, wrongUsage("%w", err)
	}
	cfg.Reconcile = reconcileOrders(cfg.Stack, topologies, cfg.Timeout)
	return cfg, nil
}

// untilSecondSignal returns a context that ends with the second signal; the first one has ended the context first. A third
// signal has its default effect.
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
