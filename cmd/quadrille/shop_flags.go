package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/verify/reconcile"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// partyFlags are where the books are, by default on this machine.
var partyFlags = []struct{ party, flag, variable, address string }{
	{reconcile.Order, "order-url", "ORDER_URL", "http://127.0.0.1:8081"},
	{reconcile.Inventory, "inventory-url", "INVENTORY_URL", "http://127.0.0.1:8082"},
	{reconcile.Payment, "payment-url", "PAYMENT_URL", "http://127.0.0.1:8083"},
	{reconcile.Shipping, "shipping-url", "SHIPPING_URL", "http://127.0.0.1:8084"},
	{reconcile.Processor, "processor-url", "PROCESSOR_OPS_URL", "http://127.0.0.1:8093"},
	{reconcile.Carrier, "carrier-url", "CARRIER_OPS_URL", "http://127.0.0.1:8094"},
}

// shopFlags adds the addresses of all parties, and answers them by party.
func shopFlags(f *pflag.FlagSet) map[string]*string {
	urls := map[string]*string{}
	for _, p := range partyFlags {
		urls[p.party] = f.String(p.flag, cmp.Or(os.Getenv(p.variable), p.address), fmt.Sprintf("where %s serves /ops/audit (%s)", p.party, p.variable))
	}
	return urls
}

// shopAt is the shop at these addresses, by party. Without a token, it is that of the environment, which may be none.
func shopAt(urls map[string]string, token string) (stackclient.Shop, error) {
	at := map[string]string{}
	for _, p := range partyFlags {
		if err := reconcile.CheckURL(urls[p.party]); err != nil {
			return stackclient.Shop{}, wrongUsage("--%s: %w", p.flag, err)
		}
		at[p.party] = strings.TrimSuffix(urls[p.party], "/")
	}
	shop := stackclient.Shop{
		Order: at[reconcile.Order], Inventory: at[reconcile.Inventory], Payment: at[reconcile.Payment], Shipping: at[reconcile.Shipping],
		Processor: at[reconcile.Processor], Carrier: at[reconcile.Carrier], Token: cmp.Or(token, os.Getenv("OPS_TOKEN")),
	}
	return shop, nil
}

// booksOf says where the ledger finds the books of a shop.
func booksOf(s stackclient.Shop) map[string]string {
	return map[string]string{
		reconcile.Order: s.Order, reconcile.Inventory: s.Inventory, reconcile.Payment: s.Payment, reconcile.Shipping: s.Shipping,
		reconcile.Processor: s.Processor, reconcile.Carrier: s.Carrier,
	}
}
