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

const upHelp = `Open the whole shop in this one process: the four services on SQLite files, an in-process broker between them, and
simulators of a card processor and a carrier. It needs nothing but a folder and ports on this machine.

It runs until Ctrl-C, which lets what is under way finish. Its data stays: the next start in the same folder goes on
where this one ended, however it ended.

The services' settings come from the environment: ORDER_PAYMENT_DEADLINE, ORDER_STALLED_AFTER, RETRY_DELAYS,
CARRIER_DISPATCH_DELAY and CARRIER_DELIVERY_DELAY (1s each), OPS_TOKEN (` + embedded.DefaultToken + `), EVENTS_AUDIT (true),
LOG_LEVEL (warn), LOG_FORMAT (text), and so on.`

var services = []string{"order", "inventory", "payment", "shipping"}

// defaultAddresses are the ports that the shop has everywhere.
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
		Short: "Open the whole shop in one process, without any server",
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
			tell := func(chosen embedded.Addresses, token string) {
				switch {
				case asJSON:
					_ = json.NewEncoder(out).Encode(describe(chosen, dir, token)) // nobody to tell if it fails
				case !quiet:
					greet(out, describe(chosen, dir, token))
				}
			}
			ctx := cmd.Context()
			if temporary != "" {
				var end func()
				ctx, end = whileStdinIsOpen(ctx, cmd.InOrStdin(), temporary)
				defer end()
			}
			err := up(ctx, embedded.Config{Dir: dir, Addresses: at, Without: without}, tell, cmd.ErrOrStderr())
			if err == nil && !asJSON && !quiet {
				fmt.Fprintln(out, "\nThe shop is closed. What was under way goes on at the next start.")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "data", ".quadrille", "folder of all data; it is made if it is not there")
	f.BoolVar(&freePorts, "free-ports", false, "take any free ports, except where an address is given")
	for _, n := range at.Each() {
		f.StringVar(n.Address, n.Name+"-addr", *n.Address, "where the "+strings.Replace(n.Name, "-ops", "'s operators' side", 1)+" listens")
	}
	f.StringSliceVar(&without, "without", nil, "leave a service closed, as if it were down; what it should hear waits for it")
	f.BoolVar(&asJSON, "json", false, "once the shop is open, print its URLs as one line of JSON and nothing else")
	f.BoolVar(&quiet, "quiet", false, "print nothing")
	f.StringVar(&temporary, temporaryFlag, "", "for quadrille demo: close once the standard input closes, and delete this folder")
	_ = f.MarkHidden(temporaryFlag) // which is there
	return cmd
}

// up runs the shop with the process' environment until ctx ends. It logs to logs.
func up(ctx context.Context, cfg embedded.Config, tell func(chosen embedded.Addresses, token string), logs io.Writer) error {
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
	cfg.OnReady = func(chosen embedded.Addresses) { tell(chosen, token) }
	err = embedded.Run(ctx, cfg)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // stopped before it was open
	}
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if flushErr := flush(flushCtx); flushErr != nil {
		slog.Warn("telemetry was not delivered completely", "error", flushErr)
	}
	return err
}

// description is what programs want to know about a running shop. Processor, carrier and broker are their operators'
// sides, where books, switches and queues are.
type description struct {
	Order     string `json:"order"`
	Inventory string `json:"inventory"`
	Payment   string `json:"payment"`
	Shipping  string `json:"shipping"`
	Processor string `json:"processor"`
	Carrier   string `json:"carrier"`
	Broker    string `json:"broker"`
	Token     string `json:"token"`
	Data      string `json:"data"`

	Addresses map[string]string `json:"addresses"` // by the names of the flags, to be given to the next start
}

func describe(at embedded.Addresses, dir, token string) description {
	d := description{
		Order: "http://" + at.Order, Inventory: "http://" + at.Inventory, Payment: "http://" + at.Payment, Shipping: "http://" + at.Shipping,
		Processor: "http://" + at.ProcessorOps, Carrier: "http://" + at.CarrierOps, Broker: "http://" + at.Broker, Token: token, Data: dir,
		Addresses: map[string]string{},
	}
	for _, n := range at.Each() {
		d.Addresses[n.Name+"-addr"] = *n.Address
	}
	return d
}

// greet says where the shop is, and what to try first.
func greet(out io.Writer, d description) {
	// A token of one's own stays out of terminals and histories; the ledger reads the same variable.
	token, tokenFlag := "that of OPS_TOKEN", ""
	if d.Token == embedded.DefaultToken {
		token, tokenFlag = d.Token, " --token "+d.Token
	}
	fmt.Fprintf(out, `The shop is open, and keeps its books in %[9]s. Ctrl-C closes it.

  order      %[1]s/api/v1/orders
  inventory  %[2]s/api/v1/products
  payment    %[3]s/api/v1/payments/{orderId}
  shipping   %[4]s/api/v1/shipments/{orderId}
  simulators %[5]s/ops/audit (card processor), %[6]s/ops/audit (carrier)
  operators' token: %[10]s

Order something:

  curl -s %[1]s/api/v1/orders \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-order' \
    -d '{"customerId": "ada", "items": [{"sku": "dance-shoes", "quantity": 1}], "paymentMethod": "pm_card_visa",
         "shippingAddress": {"name": "Ada", "street": "1 Ball Street", "city": "Vienna", "postalCode": "1010", "country": "AT"}}'

See what became of it, and of the stock:

  curl -s '%[1]s/api/v1/orders?customerId=ada'
  curl -s %[2]s/api/v1/products/dance-shoes

Send the same order twice, kill this process in the middle and start it again: nothing happens twice. To prove it:

  quadrille ledger%[8]s%[7]s
`, d.Order, d.Inventory, d.Payment, d.Shipping, d.Processor, d.Carrier, ledgerFlags(d), tokenFlag, d.Data, token)
}

// ledgerFlags are what the ledger has to be told about a shop that is not where it looks by itself.
func ledgerFlags(d description) string {
	var flags strings.Builder
	fmt.Fprintf(&flags, " --broker-url %s", d.Broker)
	at := map[string]string{
		"order-url": d.Order, "inventory-url": d.Inventory, "payment-url": d.Payment, "shipping-url": d.Shipping,
		"processor-url": d.Processor, "carrier-url": d.Carrier,
	}
	for _, p := range partyFlags {
		if at[p.flag] != p.address {
			fmt.Fprintf(&flags, " --%s %s", p.flag, at[p.flag])
		}
	}
	return flags.String()
}
