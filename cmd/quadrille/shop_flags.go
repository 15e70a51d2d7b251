package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/ledger"
	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/shopclient"
)

// partyFlags are where the books are, by default on this machine.
var partyFlags = []struct{ party, flag, variable, address string }{
	{ledger.Order, "order-url", "ORDER_URL", "http://127.0.0.1:8081"},
	{ledger.Inventory, "inventory-url", "INVENTORY_URL", "http://127.0.0.1:8082"},
	{ledger.Payment, "payment-url", "PAYMENT_URL", "http://127.0.0.1:8083"},
	{ledger.Shipping, "shipping-url", "SHIPPING_URL", "http://127.0.0.1:8084"},
	{ledger.Processor, "processor-url", "PROCESSOR_OPS_URL", "http://127.0.0.1:8093"},
	{ledger.Carrier, "carrier-url", "CARRIER_OPS_URL", "http://127.0.0.1:8094"},
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
func shopAt(urls map[string]string, token string) (shopclient.Shop, error) {
	at := map[string]string{}
	for _, p := range partyFlags {
		if err := ledger.CheckURL(urls[p.party]); err != nil {
			return shopclient.Shop{}, wrongUsage("--%s: %w", p.flag, err)
		}
		at[p.party] = strings.TrimSuffix(urls[p.party], "/")
	}
	shop := shopclient.Shop{
		Order: at[ledger.Order], Inventory: at[ledger.Inventory], Payment: at[ledger.Payment], Shipping: at[ledger.Shipping],
		Processor: at[ledger.Processor], Carrier: at[ledger.Carrier], Token: cmp.Or(token, os.Getenv("OPS_TOKEN")),
	}
	return shop, nil
}

// booksOf says where the ledger finds the books of a shop.
func booksOf(s shopclient.Shop) map[string]string {
	return map[string]string{
		ledger.Order: s.Order, ledger.Inventory: s.Inventory, ledger.Payment: s.Payment, ledger.Shipping: s.Shipping,
		ledger.Processor: s.Processor, ledger.Carrier: s.Carrier,
	}
}
