package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

func TestLoad_WrongUsage(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a share of zero":         {[]string{"--mix", "happy=0"}, "--mix: happy=0"},
		"an unknown story":        {[]string{"--mix", "happy=1,sad=1"}, "happy, declined, out-of-stock"},
		"a negative rate":         {[]string{"--rate", "-1"}, "--rate must"},
		"not a number":            {[]string{"--rate", "NaN"}, "--rate must"},
		"a rate that is too high": {[]string{"--rate", "1e9"}, "at most 1000"},
		"too many orders":         {[]string{"--rate", "500", "--for", "10m"}, "300000 orders are more than 100000"},
		"no time":                 {[]string{"--for", "0s"}, "--for must"},
		"no open orders":          {[]string{"--in-flight", "0"}, "--in-flight must"},
		"no timeout":              {[]string{"--wait", "-1s"}, "--wait must"},
		"no token":                {nil, "--reconcile=false"},
		"an invalid URL":          {[]string{"--order-url", "somewhere", "--token", "x"}, "--order-url"},
		"an invalid retry delay":  {[]string{"--retry-delays", "1s,soon", "--token", "x"}, "retry-delays"},
		"an argument":             {[]string{"now"}, "now"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := runQuadrille(t, append([]string{"load"}, c.args...)...)
			if status != 2 || out != "" || !strings.Contains(errOut, c.want) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("status %d, and not %q\n%s%s", status, c.want, out, errOut)
			}
		})
	}
}

func TestLoad_UnreachableStack(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := runQuadrille(t, "load", "--reconcile=false", "--order-url", address, "--json")
	if status != 3 || out != "" || !strings.Contains(errOut, "cannot reach the stack") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
}

type loadOutcome struct {
	Status          int
	StoppedEarly    bool
	Abandoned       int
	Dropped         int
	Offered         struct{ Orders int }
	Accepted, Ended struct{ Orders int }
	Wrong, Errors   []any
	Stock           string
	Reconciliation  *struct{ Clean bool }
}

// loadFlags returns the flags of quadrille load for the stack.
func (p *upProcess) loadFlags() []string {
	flags := []string{"--token", p.Token, "--wait", upTimeout.String()}
	urls := snapshotURLs(stackclient.Stack{
		Order: p.Order, Inventory: p.Inventory, Payment: p.Payment, Shipping: p.Shipping, Processor: p.Processor, Carrier: p.Carrier,
	})
	for _, u := range urlFlags {
		flags = append(flags, "--"+u.flag, urls[u.source])
	}
	return flags
}

func TestLoad_Summary(t *testing.T) {
	t.Parallel()
	up := startUp(t, t.TempDir())
	flags := append([]string{"load", "--rate", "20", "--for", "2s"}, up.loadFlags()...)
	status, out, errOut := runQuadrille(t, append(flags, "--json")...)
	var got loadOutcome
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	if status != 0 || got.Status != 0 || got.Accepted.Orders != 40 || got.Ended.Orders != 40 || len(got.Wrong) > 0 || !got.Reconciliation.Clean || errOut != "" {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}

	// As text, and with an output that fails.
	status, out, errOut = runQuadrille(t, append(flags, "--reconcile=false", "--mix", "declined=1")...)
	if status != 0 || !strings.Contains(out, "40 cancelled: card_declined") || !strings.Contains(errOut, "40 ended · 0 open") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
	var failed bytes.Buffer
	if status := run(t.Context(), append(flags, "--for", "100ms"), fullDisk{}, &failed); status != 3 || !strings.Contains(failed.String(), "no space") {
		t.Errorf("status %d\n%s", status, &failed)
	}
}

// The first signal ends the placing of orders, the second one ends the waiting, and kill -9 ends everything. The stack stays
// consistent.
func TestLoad_Stopped(t *testing.T) {
	t.Parallel()
	up := startUp(t, t.TempDir())
	release := up.pauseDeliveries(t) // so that happy orders do not end
	start := func() (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command(os.Args[0], append([]string{"load", "--rate", "20", "--in-flight", "30", "--for", "10m", "--mix", "happy=1", "--json"}, up.loadFlags()...)...)
		cmd.Env = append(os.Environ(), "TEST_IS_QUADRILLE=yes")
		out := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = out, out
		before := up.newest(t, 1)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
		until(t, "orders are placed", func() bool {
			now := up.newest(t, 21)
			return len(now) == 21 && (len(before) == 0 || now[20] > before[0]) // ids grow with time
		})
		return cmd, out
	}
	signal := func(cmd *exec.Cmd, s os.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	outcome := func(cmd *exec.Cmd, out *bytes.Buffer) (o loadOutcome) {
		t.Helper()
		_ = cmd.Wait() // its status is looked at below
		if err := json.Unmarshal(out.Bytes(), &o); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if o.Status != cmd.ProcessState.ExitCode() {
			t.Errorf("status %d in the summary, exit status %d", o.Status, cmd.ProcessState.ExitCode())
		}
		return o
	}

	cmd, out := start()
	signal(cmd, syscall.SIGINT)
	signal(cmd, syscall.SIGTERM) // two equal signals may be merged
	if o := outcome(cmd, out); o.Status != 3 || o.Abandoned == 0 || !o.StoppedEarly || len(o.Wrong) > 0 || o.Reconciliation != nil {
		t.Errorf("stopped twice: %.2000s", out)
	}

	cmd, _ = start()
	signal(cmd, syscall.SIGKILL)
	_ = cmd.Wait() // killed

	cmd, out = start()
	signal(cmd, syscall.SIGINT)
	release()
	if o := outcome(cmd, out); o.Status != 0 || !o.StoppedEarly || o.Ended.Orders+o.Dropped != o.Offered.Orders || o.Reconciliation == nil || !o.Reconciliation.Clean {
		t.Errorf("stopped once: %.2000s", out)
	}
	up.reconcile(t)
}

// newest returns the ids of the newest orders.
func (p *upProcess) newest(t *testing.T, n int) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	status, body, err := send(t.Context(), http.MethodGet, fmt.Sprintf("%s/api/v1/orders?limit=%d", p.Order, n), "")
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &list) != nil {
		t.Fatalf("orders: %d %v", status, err)
	}
	for _, o := range list.Items {
		ids = append(ids, o.ID)
	}
	return ids
}

// orders returns the number of orders in the audit snapshot.
func (p *upProcess) orders(t *testing.T) int {
	t.Helper()
	var snapshot struct {
		Entries struct{ Orders []json.RawMessage }
	}
	status, body, err := send(t.Context(), http.MethodGet, p.Order+"/ops/audit", "", "Authorization", "Bearer "+p.Token)
	if err != nil || status != http.StatusOK {
		t.Fatalf("audit snapshot: %d %v", status, err)
	}
	if err := json.Unmarshal(body, &snapshot); err != nil {
		t.Fatal(err)
	}
	return len(snapshot.Entries.Orders)
}

// pauseDeliveries makes the carrier deliver nothing until release is called.
func (p *upProcess) pauseDeliveries(t *testing.T) (release func()) {
	t.Helper()
	faults, token := p.Carrier+"/ops/faults", []string{"Authorization", "Bearer " + p.Token}
	pause := `{"match":{"operation":"deliver"},"action":"pause"}`
	status, body, err := send(t.Context(), http.MethodPost, faults, pause, token...)
	var fault struct{ ID string }
	if err != nil || status != http.StatusCreated || json.Unmarshal(body, &fault) != nil {
		t.Fatalf("%v: %d %s", err, status, body)
	}
	return func() {
		t.Helper()
		if status, body, err := send(t.Context(), http.MethodDelete, faults+"/"+fault.ID, "", token...); err != nil || status != http.StatusNoContent {
			t.Fatalf("%v: %d %s", err, status, body)
		}
	}
}
