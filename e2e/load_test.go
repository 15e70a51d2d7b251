package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// load returns quadrille load against the stack.
func (s *Stack) load(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), s.Quadrille, append([]string{"load", "--wait", waitLimit.String()}, args...)...)
	cmd.Env = append(os.Environ(),
		"ORDER_URL="+s.Order, "INVENTORY_URL="+s.Inventory, "PAYMENT_URL="+s.Payment, "SHIPPING_URL="+s.Shipping,
		"PROCESSOR_OPS_URL="+s.Processor, "CARRIER_OPS_URL="+s.Carrier, "OPS_TOKEN="+s.Token, "RETRY_DELAYS="+s.RetryDelays)
	return cmd
}

func TestLoad_EveryStoryEndsAsExpected(t *testing.T) {
	long(t)
	cmd := stack.load(t, "--rate", "20", "--for", "5s", "--json",
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
		Reconciliation struct {
			Clean   bool
			Checked struct{ Orders map[string]int }
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Status != 0 || got.Offered.Orders != 100 || got.Accepted.Orders != 100 || got.Ended.Orders != 100 || got.Dropped+len(got.Wrong) > 0 {
		t.Errorf("not all 100 orders ended as expected\n%s", out)
	}
	if n := got.Reconciliation.Checked.Orders; !got.Reconciliation.Clean || n["completed"]+n["cancelled"] != 100 {
		t.Errorf("the reconciliation is not clean or has other orders\n%s", out)
	}
	orders := map[string]int{"happy": 60, "declined": 10, "out-of-stock": 10, "undeliverable": 10, "cancelled": 10}
	for _, s := range got.Stories {
		if s.Orders != orders[s.Story] || s.Accepted.Count != s.Orders || s.Ended.Count != s.Orders {
			t.Errorf("story %s: %+v, want %d orders", s.Story, s, orders[s.Story])
		}
		delete(orders, s.Story)
	}
	if len(orders) > 0 {
		t.Errorf("the stories %v are missing\n%s", orders, out)
	}
}

// The load generator is killed. The stack completes its orders.
func TestLoad_KilledGeneratorLeavesNoFindings(t *testing.T) {
	long(t)
	before := stack.newestOrders(t, 1)
	cmd := stack.load(t, "--rate", "20", "--for", "10m")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stack.eventually(t, "31 orders are placed", func() bool {
		now := stack.newestOrders(t, 31)
		return len(now) == 31 && (len(before) == 0 || now[30] > before[0]) // ids grow with time
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if report, err := stack.reconcile(); err != nil {
		t.Errorf("reconciliation failed: %v\n%s\noutput of quadrille load:\n%s", err, report, &out)
	}
}

// newestOrders returns the ids of the n newest orders.
func (s *Stack) newestOrders(t *testing.T, n int) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	s.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("%s/api/v1/orders?limit=%d", s.Order, n), nil).decode(t, &list)
	for _, o := range list.Items {
		ids = append(ids, o.ID)
	}
	return ids
}
