package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/ledger"
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
		urls[p.party] = f.String(p.flag, cmp.Or(os.Getenv(p.variable), p.address), fmt.Sprintf("where %s serves /ops/books (%s)", p.party, p.variable))
	}
	return urls
}
