package main

import (
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
	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/embedded"
	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/terminal"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

const demoHelp = `Run short stories of an order on a stack, show every event as it happens, and reconcile the orders at the end.

Stories: %s.

Without --against, the command starts a stack of its own and deletes it afterwards. That stack has a clean environment:
only LOG_LEVEL, LOG_FORMAT and --retry-delays apply to it. Some stories inject a fault into a simulator, and remove it
again. With --against, the stories add a few products and orders to your stack, and one of them stops its card processor
for one or two seconds.

With --json, each line is an object with a type. "story" starts a story. "event", "state" (what the customer sees) and
"action" (what the demo did) form its timeline; their offset is in seconds. "result" ends the story, with ok and
failures. "reconciliation" ends the demo, with the exit status and the report of quadrille reconcile --json.

Exit status:
  0  all is well
  1  a story or the reconciliation failed
  2  wrong usage
  3  no findings, but not everything could be checked`

type demoOptions struct {
	against string
	urls    map[string]*string // by source
	token   string
	stories []string
	wait    time.Duration
	json    bool
	noColor bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run nine stories of an order, and verify the result",
		Long:  fmt.Sprintf(demoHelp, strings.Join(demo.Names(), ", ")),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.against, "against", "", "use the stack on this host, for example http://127.0.0.1, with the default ports unless a URL below is set")
	o.urls = addURLFlags(f)
	f.StringVar(&o.token, "token", "", "operators' token (OPS_TOKEN)")
	addRetryDelays(f)
	f.StringSliceVar(&o.stories, "story", nil, "run only this story; may be repeated")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for each expected result")
	f.BoolVar(&o.json, "json", false, "print JSON, one object per line")
	f.BoolVar(&o.noColor, "no-color", false, "print no colours on a terminal (NO_COLOR)")
	return cmd
}

func (o demoOptions) run(cmd *cobra.Command) error {
	ctx, flags := cmd.Context(), cmd.Flags()
	stories, err := demo.Pick(o.stories...)
	if err != nil {
		return wrongUsage("--story: %w", err)
	}
	if o.wait <= 0 {
		return wrongUsage("--wait must be positive")
	}
	parse := parseTopologies
	if !flags.Changed("against") {
		parse = parseFlagTopologies // RETRY_DELAYS is the setting of a stack that is running already
	}
	topologies, err := parse(flags)
	if err != nil {
		return wrongUsage("%w", err)
	}
	signal.Ignore(syscall.SIGPIPE) // so that a closed pipe is an error, and the stack is stopped
	var stack demo.Stack
	if flags.Changed("against") {
		if stack, err = o.existingStack(flags.Changed); err != nil {
			return err
		}
	} else {
		if flags.Changed("token") {
			return wrongUsage("--token needs --against")
		}
		for _, u := range urlFlags {
			if flags.Changed(u.flag) {
				return wrongUsage("--%s needs --against", u.flag)
			}
		}
		delays, err := flags.GetDurationSlice(retryDelays)
		if err != nil {
			return err
		}
		process, err := embedded.StartProcess(ctx, demoEnviron(os.LookupEnv, delays))
		if err != nil {
			return err
		}
		defer process.Close()
		d := process.Stack()
		stack = demo.Stack{Kill: process.Kill, Start: process.Start, Stack: stackclient.Stack{
			Order: d.Order, Inventory: d.Inventory, Payment: d.Payment, Shipping: d.Shipping,
			Processor: d.Processor, Carrier: d.Carrier, Token: d.Token,
		}}
	}

	screen := terminal.Open(cmd.OutOrStdout(), os.Getenv)
	var output demo.Screen
	if o.json {
		output = demo.NewJSON(cmd.OutOrStdout())
	} else {
		output = demo.NewText(screen.Out, screen.Width, screen.Colours && !o.noColor)
	}
	outcome, err := demo.Run(ctx, demo.Config{
		Stack: stack, Stories: stories, Timeout: o.wait, Reconcile: reconcileOrders(stack.Stack, topologies, o.wait),
	}, output)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return &exitError{status: statusFailed} // the reader has closed the pipe, so a message would not be read
	case err != nil:
		return err
	case outcome.Status() != 0:
		return &exitError{status: outcome.Status()}
	}
	return nil
}

// existingStack returns the stack of --against and of the flags for URLs.
func (o demoOptions) existingStack(changed func(flag string) bool) (demo.Stack, error) {
	host, err := url.Parse(o.against)
	if err != nil || reconcile.CheckURL(o.against) != nil || strings.Trim(host.Path, "/") != "" {
		return demo.Stack{}, wrongUsage("--against: %q is not a host such as http://127.0.0.1", o.against)
	}
	if host.Port() != "" {
		return demo.Stack{}, wrongUsage("--against needs a host without a port, because each service has its own; see --order-url")
	}
	urls := map[string]string{}
	for _, u := range urlFlags {
		urls[u.source] = *o.urls[u.source]
		if !changed(u.flag) && os.Getenv(u.variable) == "" {
			local, err := url.Parse(u.url)
			if err != nil {
				return demo.Stack{}, err
			}
			urls[u.source] = host.Scheme + "://" + net.JoinHostPort(host.Hostname(), local.Port())
		}
	}
	stack, err := newStack(urls, o.token)
	if err == nil && stack.Token == "" {
		err = wrongUsage("missing token: set --token or OPS_TOKEN")
	}
	return demo.Stack{Stack: stack}, err
}

// demoEnviron returns the environment of the demo's own stack: the demo's settings, and the few variables that the system
// and the logs need.
func demoEnviron(lookup func(name string) (string, bool), delays []time.Duration) []string {
	environ := []string{"EVENTS_AUDIT=true", "CARRIER_DISPATCH_DELAY=1s", "CARRIER_DELIVERY_DELAY=1s"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TMP", "TEMP", "SystemRoot", "LOG_LEVEL", "LOG_FORMAT"} {
		if value, set := lookup(name); set {
			environ = append(environ, name+"="+value)
		}
	}
	if len(delays) > 0 {
		var parts []string
		for _, d := range delays {
			parts = append(parts, d.String())
		}
		environ = append(environ, "RETRY_DELAYS="+strings.Join(parts, ","))
	}
	return environ
}
