package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// load is quadrille load as users run it, against the shop.
func (s *Shop) load(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), s.Quadrille, append([]string{"load", "--wait", patience.String()}, args...)...)
	cmd.Env = append(os.Environ(),
		"ORDER_URL="+s.Order, "INVENTORY_URL="+s.Inventory, "PAYMENT_URL="+s.Payment, "SHIPPING_URL="+s.Shipping,
		"PROCESSOR_OPS_URL="+s.Processor, "CARRIER_OPS_URL="+s.Carrier, "OPS_TOKEN="+s.Token, "RETRY_DELAYS="+s.RetryLadder)
	return cmd
}

func TestLoad_EveryStoryEndsAsItShouldAndTheBooksAreClean(t *testing.T) {
	cmd := shop.load(t, "--rate", "20", "--for", "5s", "--json",
		"--mix", "happy=60,declined=10,out_of_stock=10,undeliverable=10,cancelled=10")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, errOut.Bytes())
	}
	type latency struct{ Count int }
	var got struct {
		Status, Dropped          int
		Offered, Accepted, Ended struct{ Orders int }
		Wrong                    []any
		Stories                  []struct {
			Story           string
			Orders          int
			Accepted, Ended latency
			Outcomes        map[string]int
		}
		Ledger struct {
			Clean   bool
			Checked struct{ Orders map[string]int }
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Status != 0 || got.Offered.Orders != 100 || got.Accepted.Orders != 100 || got.Ended.Orders != 100 || got.Dropped+len(got.Wrong) > 0 {
		t.Errorf("not everybody came to their end\n%s", out)
	}
	if n := got.Ledger.Checked.Orders; !got.Ledger.Clean || n["completed"]+n["cancelled"] != 100 {
		t.Errorf("the ledger has something else\n%s", out)
	}
	orders := map[string]int{"happy": 60, "declined": 10, "out-of-stock": 10, "undeliverable": 10, "cancelled": 10}
	for _, s := range got.Stories {
		if s.Orders != orders[s.Story] || s.Accepted.Count != s.Orders || s.Ended.Count != s.Orders {
			t.Errorf("%s: %+v", s.Story, s)
		}
		delete(orders, s.Story)
	}
	if len(orders) > 0 {
		t.Errorf("nothing is told of %v\n%s", orders, out)
	}
}

// Whoever sends the customers may be killed; the shop does not mind.
func TestLoad_KilledHalfWayLeavesTheShopInOrder(t *testing.T) {
	before := shop.newest(t, 1)
	cmd := shop.load(t, "--rate", "20", "--for", "10m")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shop.eventually(t, "customers come", func() bool {
		now := shop.newest(t, 31)
		return len(now) == 31 && (len(before) == 0 || now[30] > before[0]) // ids grow with time
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if !strings.Contains(out.String(), "The shelf is being filled.") {
		t.Errorf("it said %s", &out)
	}
	if report, err := shop.ledger(); err != nil {
		t.Errorf("the ledger is off: %v\n%s", err, report)
	}
}

// newest are the ids of so many orders.
func (s *Shop) newest(t *testing.T, n int) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	s.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("%s/api/v1/orders?limit=%d", s.Order, n), nil).decode(t, &list)
	for _, o := range list.Items {
		ids = append(ids, o.ID)
	}
	return ids
}
