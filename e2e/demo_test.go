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

// demo returns quadrille demo against the stack.
func (s *Stack) demo(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), s.Quadrille, append([]string{
		"demo", "--wait", waitLimit.String(), "--against", "http://127.0.0.1",
		"--order-url", s.Order, "--inventory-url", s.Inventory, "--payment-url", s.Payment, "--shipping-url", s.Shipping,
		"--processor-url", s.Processor, "--carrier-url", s.Carrier,
	}, args...)...)
	cmd.Env = append(os.Environ(), "OPS_TOKEN="+s.Token, "RETRY_DELAYS="+s.RetryDelays, "COLUMNS=100")
	return cmd
}

// Some stories of the demo inject faults, which act on every order: the test is not parallel.
func TestDemo_AllStoriesReconcile(t *testing.T) {
	cmd := stack.demo(t, "--json")
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
		Stories                            struct{ Ran, Failed int }
	}
	var (
		results = map[string]line{}
		events  = map[string][]string{} // by story
		last    line
	)
	for text := range bytes.Lines(out) {
		last = line{}
		if err := json.Unmarshal(text, &last); err != nil {
			t.Fatalf("not JSON: %v: %s", err, text)
		}
		switch last.Type {
		case "event":
			events[last.Story] = append(events[last.Story], strings.TrimSuffix(last.Event, ".v1"))
		case "result":
			results[last.Story] = last
		}
	}
	if last.Type != "reconciliation" || last.Stories.Ran != 8 || last.Stories.Failed != 0 {
		t.Errorf("the last line is not the reconciliation of eight stories: %+v", last)
	}
	for story, want := range map[string]struct {
		state  string
		events []string // in this order, each once
	}{
		"happy":          {"completed", []string{"order.created", "inventory.reserved", "payment.processed", "shipment.dispatched", "shipment.delivered", "order.completed"}},
		"out-of-stock":   {"cancelled", []string{"order.created", "inventory.reservation_failed", "order.cancelled"}},
		"declined":       {"cancelled", []string{"order.created", "inventory.reserved", "payment.failed", "order.cancelled"}},
		"undeliverable":  {"cancelled", []string{"payment.processed", "shipment.failed", "payment.refunded", "order.cancelled"}},
		"cancelled":      {"cancelled", []string{"payment.charge_requested", "order.cancel_requested", "shipment.cancelled", "payment.refunded", "order.cancelled"}},
		"too-late":       {"completed", []string{"order.created", "shipment.dispatched", "order.completed"}},
		"processor-down": {"completed", []string{"order.created", "payment.charge_requested", "payment.processed", "order.completed"}},
		"twice":          {"completed", []string{"order.created", "payment.processed", "order.completed"}},
	} {
		if r := results[story]; !r.OK || r.State != want.state || r.OrderID == "" {
			t.Errorf("story %s should end %s: %+v", story, want.state, r)
		}
		got := slices.DeleteFunc(slices.Clone(events[story]), func(e string) bool { return !slices.Contains(want.events, e) })
		if !slices.Equal(got, want.events) {
			t.Errorf("story %s has the events %v, want %v", story, events[story], want.events)
		}
	}
	if results["killed"].Skipped == "" {
		t.Errorf("the story that kills a service is not skipped: %+v", results["killed"])
	}
}
