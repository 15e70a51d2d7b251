package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/demo"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/terminal"
)

const demoHelp = `Play short stories on a shop, show what happens as it happens, and have the ledger check the books.

Stories: %s.

Without --against, on a shop that is started for it and deleted afterwards; of the environment's settings, that one has
LOG_LEVEL and LOG_FORMAT only. Stories break things on purpose, with the
simulators' switches, and mend them again. On a shop of yours, they add a few products and orders, and one story stops
the card processor for everybody for a second or two.

With --json, each line is an object with a type: "story" begins one; "event", "state" (what the customer sees) and
"action" (what was done to the shop) are its timeline, with offset in seconds; "result" ends it, with ok and failures;
"ledger" ends the demo, with the exit status and the report of quadrille ledger --json.

Exit status: 0 all is well; 1 a story or the books are not as they should be; 2 wrong usage; 3 the books are right as
far as they could be checked.`

type demoOptions struct {
	against string
	urls    map[string]*string // by party
	token   string
	ladder  string
	stories []string
	wait    time.Duration
	json    bool
	noColor bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Tell nine stories of an order, and prove the books",
		Long:  fmt.Sprintf(demoHelp, strings.Join(demo.Names(), ", ")),
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.against, "against", "", "play on the shop of this host, say http://127.0.0.1; its ports are the usual ones, unless given below")
	o.urls = shopFlags(f)
	f.StringVar(&o.token, "token", "", "the operators' token (OPS_TOKEN)")
	f.StringVar(&o.ladder, "retry-ladder", os.Getenv("RETRY_DELAYS"), "as in topology apply (with --against: RETRY_DELAYS)")
	f.StringSliceVar(&o.stories, "story", nil, "play only this one; may be repeated")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for anything that should happen")
	f.BoolVar(&o.json, "json", false, "answer in JSON, one object a line")
	f.BoolVar(&o.noColor, "no-color", false, "no colours, also on a terminal (NO_COLOR)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := func(flag string) bool { return cmd.Flags().Changed(flag) }
		return o.run(cmd, given)
	}
	return cmd
}

func (o demoOptions) run(cmd *cobra.Command, given func(flag string) bool) error {
	ctx := cmd.Context()
	stories, err := demo.Pick(o.stories...)
	if err != nil {
		return wrongUsage("--story: %w", err)
	}
	if o.wait <= 0 {
		return wrongUsage("--wait must be positive")
	}
	if !given("against") && !given("retry-ladder") {
		o.ladder = "" // RETRY_DELAYS is about a shop that is there
	}
	topologies, err := parseTopologies(o.ladder)
	if err != nil {
		return wrongUsage("%w", err)
	}
	signal.Ignore(syscall.SIGPIPE) // if nobody reads any more, writing is an error, and what was started is ended
	var shop demo.Shop
	if given("against") {
		if shop, err = o.shop(given); err != nil {
			return err
		}
	} else {
		if given("token") {
			return wrongUsage("--token needs --against")
		}
		for _, p := range partyFlags {
			if given(p.flag) {
				return wrongUsage("--%s needs --against", p.flag)
			}
		}
		var stop func()
		if shop, stop, err = startEmbedded(ctx, o.ladder); err != nil {
			return err
		}
		defer stop()
	}

	cfg := demo.Config{
		Shop: shop, Stories: stories, Patience: o.wait,
		Ledger: func(ctx context.Context, orders []string) (reconcile.Report, error) {
			l := reconcile.New(reconcile.Config{
				URLs: booksOf(shop.Shop), Token: shop.Token, Topologies: topologies, Orders: orders,
				Overdue: 15 * time.Minute, Confirm: time.Second, Wait: o.wait, Settled: true,
			})
			defer l.Close()
			return l.Check(ctx)
		},
	}
	look := terminal.Of(cmd.OutOrStdout(), os.Getenv)
	var screen demo.Screen
	if o.json {
		screen = demo.NewJSON(cmd.OutOrStdout())
	} else {
		screen = demo.NewText(cmd.OutOrStdout(), look.Width, look.Colours && !o.noColor)
	}
	outcome, err := demo.Run(ctx, cfg, screen)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return &exitError{status: 1} // whoever has seen enough need not be told
	case err != nil:
		return err
	case outcome.Status() != 0:
		return &exitError{status: outcome.Status()}
	}
	return nil
}

// shop is where --against and its like say.
func (o demoOptions) shop(given func(flag string) bool) (demo.Shop, error) {
	host, err := url.Parse(o.against)
	if err != nil || reconcile.CheckURL(o.against) != nil || strings.Trim(host.Path, "/") != "" {
		return demo.Shop{}, wrongUsage("--against: %q is not a host such as http://127.0.0.1", o.against)
	}
	if host.Port() != "" {
		return demo.Shop{}, wrongUsage("--against names a host, without a port; a shop has several, see --order-url and its like")
	}
	urls := map[string]string{}
	for _, p := range partyFlags {
		urls[p.party] = *o.urls[p.party]
		if !given(p.flag) && os.Getenv(p.variable) == "" {
			usual, err := url.Parse(p.address)
			if err != nil {
				return demo.Shop{}, err
			}
			urls[p.party] = host.Scheme + "://" + net.JoinHostPort(host.Hostname(), usual.Port())
		}
	}
	shop, err := shopAt(urls, o.token)
	if err == nil && shop.Token == "" {
		err = wrongUsage("which token? Give --token or OPS_TOKEN")
	}
	return demo.Shop{Shop: shop}, err
}
