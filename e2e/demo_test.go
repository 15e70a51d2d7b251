package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The demo is played by its own program, as users play it. Some of its faults are for every order: not parallel.
func TestDemo_TellsItsStoriesAndProvesTheBooks(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), shop.Quadrille, "demo", "--json", "--wait", patience.String(),
		"--against", "http://127.0.0.1", "--order-url", shop.Order, "--inventory-url", shop.Inventory, "--payment-url", shop.Payment,
		"--shipping-url", shop.Shipping, "--processor-url", shop.Processor, "--carrier-url", shop.Carrier)
	cmd.Env = append(os.Environ(), "OPS_TOKEN="+shop.Token, "RETRY_DELAYS="+shop.RetryLadder)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, errOut.Bytes(), out)
	}

	type line struct {
		Type, Story, OrderID, Event, State string
		OK                                 bool
		Skipped                            string
		Stories                            struct{ Played, Failed int }
	}
	var (
		results = map[string]line{}
		told    = map[string][]string{} // events, by story
		last    line
	)
	for text := range bytes.Lines(out) {
		last = line{}
		if err := json.Unmarshal(text, &last); err != nil {
			t.Fatalf("not JSON: %v: %s", err, text)
		}
		switch last.Type {
		case "event":
			told[last.Story] = append(told[last.Story], strings.TrimSuffix(last.Event, ".v1"))
		case "result":
			results[last.Story] = last
		}
	}
	if last.Type != "ledger" || last.Stories.Played != 8 || last.Stories.Failed != 0 {
		t.Errorf("it should end with the ledger's word on eight stories: %+v", last)
	}
	for story, want := range map[string]struct {
		state  string
		events []string // as they must have happened, each once
	}{
		"happy":          {"completed", []string{"order.created", "inventory.reserved", "payment.processed", "shipment.dispatched", "shipment.delivered", "order.completed"}},
		"out-of-stock":   {"cancelled", []string{"order.created", "inventory.reservation_failed", "order.cancelled"}},
		"declined":       {"cancelled", []string{"order.created", "inventory.reserved", "payment.failed", "order.cancelled"}},
		"undeliverable":  {"cancelled", []string{"payment.processed", "shipment.failed", "payment.refunded", "order.cancelled"}},
		"cancelled":      {"cancelled", []string{"payment.charge_requested", "order.cancel_requested", "shipment.cancelled", "payment.refunded", "order.cancelled"}},
		"too-late":       {"completed", []string{"order.created", "shipment.dispatched", "order.completed"}},
		"processor-away": {"completed", []string{"order.created", "payment.charge_requested", "payment.processed", "order.completed"}},
		"twice":          {"completed", []string{"order.created", "payment.processed", "order.completed"}},
	} {
		if r := results[story]; !r.OK || r.State != want.state || r.OrderID == "" {
			t.Errorf("%s should end %s: %+v", story, want.state, r)
		}
		if got := slices.DeleteFunc(slices.Clone(told[story]), func(e string) bool { return !slices.Contains(want.events, e) }); !slices.Equal(got, want.events) {
			t.Errorf("%s tells %v, want %v", story, told[story], want.events)
		}
	}
	if results["killed"].Skipped == "" {
		t.Errorf("what cannot be killed from there is left out: %+v", results["killed"])
	}
}
