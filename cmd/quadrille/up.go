package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/embedded"
	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

const upHelp = `Run the whole stack in this process: the four services on SQLite files, a broker in the process, and simulators of a card
processor and a carrier. The command needs a folder and free ports, and no server.

It runs until Ctrl-C, and then finishes what is in progress. It keeps its data: the next start in the same folder continues,
even after a kill.

The services' settings come from the environment: ORDER_PAYMENT_DEADLINE, ORDER_STALLED_AFTER, RETRY_DELAYS,
CARRIER_DISPATCH_DELAY and CARRIER_DELIVERY_DELAY (1s each), OPS_TOKEN (` + embedded.DefaultToken + `), EVENTS_AUDIT (true),
LOG_LEVEL (warn), LOG_FORMAT (text), and the others of docs/configuration.md.`

var services = []string{"order", "inventory", "payment", "shipping"}

// defaultAddresses returns the ports that the stack has in compose as well.
func defaultAddresses() embedded.Addresses {
	return embedded.Addresses{
		Order: "127.0.0.1:8081", Inventory: "127.0.0.1:8082", Payment: "127.0.0.1:8083", Shipping: "127.0.0.1:8084",
		Processor: "127.0.0.1:8091", Carrier: "127.0.0.1:8092", ProcessorOps: "127.0.0.1:8093", CarrierOps: "127.0.0.1:8094",
		Broker: "127.0.0.1:8095",
	}
}

func upCommand() *cobra.Command {
	var (
		dir       string
		at        = defaultAddresses()
		freePorts bool
		asJSON    bool
		quiet     bool
		without   []string
		temporary string
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole stack in one process, without any server",
		Long:  upHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && quiet {
				return wrongUsage("--json and --quiet exclude each other")
			}
			if freePorts {
				for _, n := range at.Each() {
					if !cmd.Flags().Changed(n.Name + "-addr") {
						*n.Address = "127.0.0.1:0"
					}
				}
			}
			for _, service := range without {
				if !slices.Contains(services, service) {
					return wrongUsage("--without %s: the services are %s", service, strings.Join(services, ", "))
				}
			}
			out := cmd.OutOrStdout()
			onReady := func(chosen embedded.Addresses, token string) {
				d := embedded.NewDescription(chosen, dir, token)
				switch {
				case asJSON:
					_ = json.NewEncoder(out).Encode(d) // the reader may have closed the pipe
				case !quiet:
					printWelcome(out, d)
				}
			}
			ctx := cmd.Context()
			if temporary != "" {
				var end func()
				ctx, end = embedded.UntilEOF(ctx, cmd.InOrStdin(), temporary)
				defer end()
			}
			err := up(ctx, embedded.Config{Dir: dir, Addresses: at, Without: without}, onReady, cmd.ErrOrStderr())
			if err == nil && !asJSON && !quiet {
				fmt.Fprintln(out, "\nThe stack has stopped. The next start continues with its data.")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "data", ".quadrille", "folder of all data; created if it does not exist")
	f.BoolVar(&freePorts, "free-ports", false, "use any free port for each address that is not set")
	for _, n := range at.Each() {
		f.StringVar(n.Address, n.Name+"-addr", *n.Address, "address of the "+strings.Replace(n.Name, "-ops", "'s /ops endpoints", 1))
	}
	f.StringSliceVar(&without, "without", nil, "do not start this service, as if it were down; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print only the URLs, as one line of JSON, when the stack is ready")
	f.BoolVar(&quiet, "quiet", false, "print nothing")
	f.StringVar(&temporary, embedded.TemporaryFlag, "", "for quadrille demo: stop when the standard input closes, and delete this folder")
	_ = f.MarkHidden(embedded.TemporaryFlag) // fails only for an unknown flag
	return cmd
}

// up runs the stack with the process's environment until ctx ends. It writes its logs to logs.
func up(ctx context.Context, cfg embedded.Config, onReady func(chosen embedded.Addresses, token string), logs io.Writer) error {
	level := slog.LevelWarn
	if name := os.Getenv("LOG_LEVEL"); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return wrongUsage("LOG_LEVEL: %w", err)
		}
	}
	format := "text"
	if name := os.Getenv("LOG_FORMAT"); name != "" {
		format = name
	}
	slog.SetDefault(telemetry.NewLogger(logs, level, format))
	flush, err := telemetry.Start(ctx, "quadrille", chassis.Version())
	if err != nil {
		return err
	}
	token := os.Getenv("OPS_TOKEN")
	if token == "" {
		token = embedded.DefaultToken
	}
	cfg.Environ = os.Environ()
	cfg.OnReady = func(chosen embedded.Addresses) { onReady(chosen, token) }
	err = embedded.Run(ctx, cfg)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // stopped before it was ready
	}
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if flushErr := flush(flushCtx); flushErr != nil {
		slog.Warn("cannot deliver all telemetry", "error", flushErr)
	}
	return err
}

// printWelcome prints the addresses, and what to try first.
func printWelcome(out io.Writer, d embedded.Description) {
	// A token of the user's own stays out of terminals and histories; reconcile reads the same variable.
	token, tokenFlag := "the value of OPS_TOKEN", "" //nolint:gosec // a text that names the variable, not a token
	if d.Token == embedded.DefaultToken {
		token, tokenFlag = d.Token, " --token "+d.Token
	}
	fmt.Fprintf(out, `The stack is ready. Its data is in %[9]s. Ctrl-C stops it.

  order      %[1]s/api/v1/orders
  inventory  %[2]s/api/v1/products
  payment    %[3]s/api/v1/payments/{orderId}
  shipping   %[4]s/api/v1/shipments/{orderId}
  simulators %[5]s/ops/audit (card processor), %[6]s/ops/audit (carrier)
  operators' token: %[10]s

Place an order:

  curl -s %[1]s/api/v1/orders \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-order' \
    -d '{"customerId": "ada", "items": [{"sku": "dance-shoes", "quantity": 1}], "paymentMethod": "pm_card_visa",
         "shippingAddress": {"name": "Ada", "street": "1 Ball Street", "city": "Vienna", "postalCode": "1010", "country": "AT"}}'

See its state, and the stock:

  curl -s '%[1]s/api/v1/orders?customerId=ada'
  curl -s %[2]s/api/v1/products/dance-shoes

Send the same request twice. Kill this process in the middle, and start it again. Nothing happens twice. Verify it:

  quadrille reconcile%[8]s%[7]s
`, d.Order, d.Inventory, d.Payment, d.Shipping, d.Processor, d.Carrier, reconcileFlags(d), tokenFlag, d.Data, token)
}

// reconcileFlags returns the flags of quadrille reconcile for this stack, except for those that have the right default.
func reconcileFlags(d embedded.Description) string {
	var flags strings.Builder
	fmt.Fprintf(&flags, " --broker-url %s", d.Broker)
	urls := map[string]string{
		"order-url": d.Order, "inventory-url": d.Inventory, "payment-url": d.Payment, "shipping-url": d.Shipping,
		"processor-url": d.Processor, "carrier-url": d.Carrier,
	}
	for _, u := range urlFlags {
		if urls[u.flag] != u.url {
			fmt.Fprintf(&flags, " --%s %s", u.flag, urls[u.flag])
		}
	}
	return flags.String()
}
