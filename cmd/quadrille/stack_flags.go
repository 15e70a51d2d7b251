package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/topology"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// urlFlags are the flags for the addresses of a stack, with defaults on this machine.
var urlFlags = []struct{ source, flag, variable, url string }{
	{reconcile.Order, "order-url", "ORDER_URL", "http://127.0.0.1:8081"},
	{reconcile.Inventory, "inventory-url", "INVENTORY_URL", "http://127.0.0.1:8082"},
	{reconcile.Payment, "payment-url", "PAYMENT_URL", "http://127.0.0.1:8083"},
	{reconcile.Shipping, "shipping-url", "SHIPPING_URL", "http://127.0.0.1:8084"},
	{reconcile.Processor, "processor-url", "PROCESSOR_OPS_URL", "http://127.0.0.1:8093"},
	{reconcile.Carrier, "carrier-url", "CARRIER_OPS_URL", "http://127.0.0.1:8094"},
}

// addURLFlags adds urlFlags and returns their values by source.
func addURLFlags(f *pflag.FlagSet) map[string]*string {
	urls := map[string]*string{}
	for _, u := range urlFlags {
		usage := fmt.Sprintf("base URL of the %s service (%s)", u.source, u.variable)
		if u.source == reconcile.Processor || u.source == reconcile.Carrier {
			usage = fmt.Sprintf("base URL of the %s simulator's /ops endpoints (%s)", u.source, u.variable)
		}
		urls[u.source] = f.String(u.flag, cmp.Or(os.Getenv(u.variable), u.url), usage)
	}
	return urls
}

// newStack returns the stack at these URLs by source. Without a token, it uses OPS_TOKEN, which may be empty.
func newStack(urls map[string]string, token string) (stackclient.Stack, error) {
	trimmed := map[string]string{}
	for _, u := range urlFlags {
		if err := reconcile.CheckURL(urls[u.source]); err != nil {
			return stackclient.Stack{}, wrongUsage("--%s: %w", u.flag, err)
		}
		trimmed[u.source] = strings.TrimSuffix(urls[u.source], "/")
	}
	return stackclient.Stack{
		Order: trimmed[reconcile.Order], Inventory: trimmed[reconcile.Inventory],
		Payment: trimmed[reconcile.Payment], Shipping: trimmed[reconcile.Shipping],
		Processor: trimmed[reconcile.Processor], Carrier: trimmed[reconcile.Carrier],
		Token: cmp.Or(token, os.Getenv("OPS_TOKEN")),
	}, nil
}

// snapshotURLs returns where the reconciliation finds the audit snapshots of a stack.
func snapshotURLs(s stackclient.Stack) map[string]string {
	return map[string]string{
		reconcile.Order: s.Order, reconcile.Inventory: s.Inventory, reconcile.Payment: s.Payment, reconcile.Shipping: s.Shipping,
		reconcile.Processor: s.Processor, reconcile.Carrier: s.Carrier,
	}
}

// reconcileOrders returns a function that reconciles orders of a stack as soon as nothing about them is under way, at the
// latest after wait.
func reconcileOrders(
	s stackclient.Stack, topologies []transport.Topology, wait time.Duration,
) func(ctx context.Context, orders []string) (reconcile.Report, error) {
	return func(ctx context.Context, orders []string) (reconcile.Report, error) {
		checker := reconcile.New(reconcile.Config{
			URLs: snapshotURLs(s), Token: s.Token, Topologies: topologies, Orders: orders,
			Overdue: 15 * time.Minute, Confirm: time.Second, Wait: wait, Settled: true,
		})
		defer checker.Close()
		return checker.Check(ctx)
	}
}

const caFileUsage = "PEM file of the CAs to trust for an amqps:// broker, instead of the system's (AMQP_CA_FILE)"

const retryDelays = "retry-delays"

// addRetryDelays adds --retry-delays, which parseTopologies reads.
func addRetryDelays(f *pflag.FlagSet) {
	f.DurationSlice(retryDelays, nil, "delays between the attempts of a handler, such as 1s,10s; the services' setting (RETRY_DELAYS)")
}

// parseTopologies returns the topology of every service with the delays of --retry-delays or else RETRY_DELAYS. Without
// both, the library's default applies.
func parseTopologies(f *pflag.FlagSet) ([]transport.Topology, error) {
	if value := os.Getenv("RETRY_DELAYS"); value != "" && !f.Changed(retryDelays) {
		if err := f.Set(retryDelays, strings.ReplaceAll(value, " ", "")); err != nil {
			return nil, fmt.Errorf("RETRY_DELAYS %q: %w", value, err)
		}
	}
	return parseFlagTopologies(f)
}

// parseFlagTopologies is parseTopologies without RETRY_DELAYS.
func parseFlagTopologies(f *pflag.FlagSet) ([]transport.Topology, error) {
	delays, err := f.GetDurationSlice(retryDelays)
	if err != nil {
		return nil, err
	}
	return topology.All(delays)
}
