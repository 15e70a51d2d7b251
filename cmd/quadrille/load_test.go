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

func TestLoad_IsUsedWrongly(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a share of nothing":          {[]string{"--mix", "happy=0"}, "--mix: happy=0"},
		"a story that there is not":   {[]string{"--mix", "happy=1,sad=1"}, "happy, declined, out-of-stock"},
		"a negative rate":             {[]string{"--rate", "-1"}, "--rate must"},
		"no number":                   {[]string{"--rate", "NaN"}, "--rate must"},
		"a rate beyond bounds":        {[]string{"--rate", "1e9"}, "at most 1000"},
		"more orders than are bound":  {[]string{"--rate", "500", "--for", "10m"}, "300000 orders are more than 100000"},
		"no time":                     {[]string{"--for", "0s"}, "--for must"},
		"nobody may come in":          {[]string{"--in-flight", "0"}, "--in-flight must"},
		"no patience":                 {[]string{"--wait", "-1s"}, "--wait must"},
		"no token":                    {nil, "--ledger=false"},
		"a service's URL that is off": {[]string{"--order-url", "somewhere", "--token", "x"}, "--order-url"},
		"half of a ladder":            {[]string{"--retry-ladder", "1s,soon", "--token", "x"}, "ladder"},
		"a word too many":             {[]string{"now"}, "now"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := runQuadrille(t, append([]string{"load"}, c.args...)...)
			if status != 2 || out != "" || !strings.Contains(errOut, c.says) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("status %d, and not %q\n%s%s", status, c.says, out, errOut)
			}
		})
	}
}

func TestLoad_NeedsAShop(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := runQuadrille(t, "load", "--ledger=false", "--order-url", address, "--json")
	if status != 3 || out != "" || !strings.Contains(errOut, "no shop there") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
}

type loadOutcome struct {
	Status          int
	EndedEarly      bool
	Abandoned       int
	Dropped         int
	Offered         struct{ Orders int }
	Accepted, Ended struct{ Orders int }
	Wrong, Errors   []any
	Shelf           string
	Ledger          *struct{ Clean bool }
}

// loadFlags leads to the shop.
func (p *upProcess) loadFlags() []string {
	flags := []string{"--token", p.Token, "--wait", upPatience.String()}
	urls := booksOf(stackclient.Stack{
		Order: p.Order, Inventory: p.Inventory, Payment: p.Payment, Shipping: p.Shipping, Processor: p.Processor, Carrier: p.Carrier,
	})
	for _, party := range partyFlags {
		flags = append(flags, "--"+party.flag, urls[party.party])
	}
	return flags
}

func TestLoad_EndsWithAVerdict(t *testing.T) {
	t.Parallel()
	up := startUp(t, t.TempDir())
	flags := append([]string{"load", "--rate", "20", "--for", "2s"}, up.loadFlags()...)
	status, out, errOut := runQuadrille(t, append(flags, "--json")...)
	var got loadOutcome
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	if status != 0 || got.Status != 0 || got.Accepted.Orders != 40 || got.Ended.Orders != 40 || len(got.Wrong) > 0 || !got.Ledger.Clean || errOut != "" {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}

	// For people, and with nobody to tell it to.
	status, out, errOut = runQuadrille(t, append(flags, "--ledger=false", "--mix", "declined=1")...)
	if status != 0 || !strings.Contains(out, "40 cancelled: card_declined") || !strings.Contains(errOut, "40 ended · 0 open") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
	var nobody bytes.Buffer
	if status := run(t.Context(), append(flags, "--for", "100ms"), fullDisk{}, &nobody); status != 3 || !strings.Contains(nobody.String(), "no space") {
		t.Errorf("status %d\n%s", status, &nobody)
	}
}

// The first signal lets nobody else in, the second one does not wait for anybody, and kill -9 says nothing. None of them
// does any harm to the shop.
func TestLoad_CanBeStoppedAtAnyMoment(t *testing.T) {
	t.Parallel()
	up := startUp(t, t.TempDir())
	release := up.holdParcels(t) // so that happy orders do not end
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
		until(t, "in full swing", func() bool {
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
			t.Errorf("it says status %d and ends with %d", o.Status, cmd.ProcessState.ExitCode())
		}
		return o
	}

	cmd, out := start()
	signal(cmd, syscall.SIGINT)
	signal(cmd, syscall.SIGTERM) // two of a kind might be taken for one
	if o := outcome(cmd, out); o.Status != 3 || o.Abandoned == 0 || !o.EndedEarly || len(o.Wrong) > 0 || o.Ledger != nil {
		t.Errorf("stopped at once: %.2000s", out)
	}

	cmd, _ = start()
	signal(cmd, syscall.SIGKILL)
	_ = cmd.Wait() // killed

	cmd, out = start()
	signal(cmd, syscall.SIGINT)
	release()
	if o := outcome(cmd, out); o.Status != 0 || !o.EndedEarly || o.Ended.Orders+o.Dropped != o.Offered.Orders || o.Ledger == nil || !o.Ledger.Clean {
		t.Errorf("stopped in order: %.2000s", out)
	}
	up.ledger(t)
}

// newest are the ids of so many orders.
func (p *upProcess) newest(t *testing.T, n int) (ids []string) {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	status, answer, err := ask(t.Context(), http.MethodGet, fmt.Sprintf("%s/api/v1/orders?limit=%d", p.Order, n), "")
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &list) != nil {
		t.Fatalf("orders: %d %v", status, err)
	}
	for _, o := range list.Items {
		ids = append(ids, o.ID)
	}
	return ids
}

// orders is how many there are in the books.
func (p *upProcess) orders(t *testing.T) int {
	t.Helper()
	var book struct {
		Entries struct{ Orders []json.RawMessage }
	}
	status, answer, err := ask(t.Context(), http.MethodGet, p.Order+"/ops/audit", "", "Authorization", "Bearer "+p.Token)
	if err != nil || status != http.StatusOK {
		t.Fatalf("books: %d %v", status, err)
	}
	if err := json.Unmarshal(answer, &book); err != nil {
		t.Fatal(err)
	}
	return len(book.Entries.Orders)
}

// holdParcels lets the carrier deliver nothing until release is called.
func (p *upProcess) holdParcels(t *testing.T) (release func()) {
	t.Helper()
	switches, token := p.Carrier+"/ops/faults", []string{"Authorization", "Bearer " + p.Token}
	hold := `{"match":{"operation":"deliver"},"action":"pause"}`
	status, answer, err := ask(t.Context(), http.MethodPost, switches, hold, token...)
	var rule struct{ ID string }
	if err != nil || status != http.StatusCreated || json.Unmarshal(answer, &rule) != nil {
		t.Fatalf("%v: %d %s", err, status, answer)
	}
	return func() {
		t.Helper()
		if status, answer, err := ask(t.Context(), http.MethodDelete, switches+"/"+rule.ID, "", token...); err != nil || status != http.StatusNoContent {
			t.Fatalf("%v: %d %s", err, status, answer)
		}
	}
}
