package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/embedded"
)

const upTimeout = 2 * time.Minute

// upProcess is quadrille up in a process of its own.
type upProcess struct {
	embedded.Description
	cmd *exec.Cmd
	log *bytes.Buffer
}

// startUp starts a stack for the test, and returns when it is ready.
func startUp(t *testing.T, dir string, args ...string) *upProcess {
	t.Helper()
	p := &upProcess{log: &bytes.Buffer{}}
	p.cmd = exec.Command(os.Args[0], append([]string{"up", "--json", "--free-ports", "--data", dir}, args...)...)
	p.cmd.Env = append(os.Environ(), "TEST_IS_QUADRILLE=yes", "RETRY_DELAYS=50ms,100ms,200ms,500ms,1s,2s",
		"CARRIER_DISPATCH_DELAY=20ms", "CARRIER_DELIVERY_DELAY=20ms", "LOG_LEVEL=error")
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("quadrille up did not start: %v, %v\n%s", err, p.cmd.Wait(), p.log)
	}
	if err := json.Unmarshal(line, &p.Description); err != nil {
		t.Fatalf("quadrille up printed %q: %v", line, err)
	}
	return p
}

// again starts the stack on the same ports, in the same folder.
func (p *upProcess) again(t *testing.T, args ...string) *upProcess {
	t.Helper()
	for flag, address := range p.Addresses {
		args = append(args, "--"+flag, address)
	}
	return startUp(t, p.Data, args...)
}

func (p *upProcess) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}

// stop stops the stack as Ctrl-C does.
func (p *upProcess) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the stack did not stop cleanly: %v\n%s", err, p.log)
	}
}

// reconcile waits until nothing is under way, and checks everything.
func (p *upProcess) reconcile(t *testing.T) {
	t.Helper()
	args := append(strings.Fields(reconcileFlags(p.Description)), "--token", p.Token, "--settled", "--wait", upTimeout.String(), "--confirm", "1s")
	var out bytes.Buffer
	if status := run(t.Context(), append([]string{"reconcile"}, args...), &out, &out); status != 0 {
		t.Errorf("reconcile: status %d:\n%s", status, &out)
	}
}

// send sends a request, and returns the status and the body. An error means that the stack is unavailable.
func send(ctx context.Context, method, url, body string, header ...string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, content, err
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	for !ok() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("timeout: %s", what)
		}
	}
}

func TestUp_PrintedCommandsWork(t *testing.T) {
	t.Parallel()
	p := startUp(t, t.TempDir())
	var text bytes.Buffer
	printWelcome(&text, p.Description)

	type curl struct{ method, url, body string }
	var curls []curl
	for _, command := range regexp.MustCompile(`(?m)^  curl -s ((?:.*\\\n)*.*(?:\n {9}.*)*)`).FindAllStringSubmatch(text.String(), -1) {
		c := curl{http.MethodGet, regexp.MustCompile(`http://[^\s']+`).FindString(command[1]), ""}
		if data := regexp.MustCompile(`(?s)-d '(.*)'`).FindStringSubmatch(command[1]); data != nil {
			c.method, c.body = http.MethodPost, data[1]
		}
		curls = append(curls, c)
	}
	if len(curls) != 3 {
		t.Fatalf("%d curls in\n%s", len(curls), &text)
	}
	status, body, err := send(t.Context(), curls[0].method, curls[0].url, curls[0].body, "Idempotency-Key", "my-first-order")
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("the first order: %d %v %s", status, err, body)
	}
	until(t, "the order is completed", func() bool {
		status, body, err = send(t.Context(), curls[1].method, curls[1].url, "")
		return err == nil && status == http.StatusOK && bytes.Contains(body, []byte(`"state":"completed"`))
	})
	status, body, err = send(t.Context(), curls[2].method, curls[2].url, "")
	if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(`"onHand":999`)) {
		t.Errorf("the stock: %d %v %s", status, err, body)
	}
	p.reconcile(t)
	p.stop(t)
}

func TestUp_Errors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inUse := startUp(t, t.TempDir())
	at := taken.Addr().String()
	for _, test := range []struct {
		want   string
		status int
		args   []string
	}{
		{"order: address " + at + " is in use", 1, []string{"--order-addr", at}},
		{"carrier-ops: address " + at + " is in use", 1, []string{"--carrier-ops-addr", at}},
		{"is in use by another process", 1, []string{"--data", inUse.Data}},
		{"not a directory", 1, []string{"--data", file}},
		{"missing port", 1, []string{"--order-addr", "localhost"}},
		{"the services are order, inventory", 2, []string{"--without", "cheese"}},
		{"exclude each other", 2, []string{"--json", "--quiet"}},
		{"unknown flag", 2, []string{"--colour"}},
	} {
		var out bytes.Buffer
		args := append([]string{"up", "--free-ports", "--data", t.TempDir()}, test.args...)
		if status := run(t.Context(), args, io.Discard, &out); status != test.status || !strings.Contains(out.String(), test.want) {
			t.Errorf("quadrille up %v: status %d, want %d, and %q does not contain %q", test.args, status, test.status, &out, test.want)
		}
	}
}

// A service that is not started misses no event, even if the process is killed.
func TestUp_EventsWaitForStoppedService(t *testing.T) {
	t.Parallel()
	p := startUp(t, t.TempDir(), "--without", "payment")
	customer := &client{t: t, up: p}
	order := customer.place("fan", "pm_card_visa")
	until(t, "the order is reserved", func() bool { return customer.state(order) == "reserved" })
	p.kill()
	p = p.again(t)
	until(t, "the order is completed", func() bool { return customer.state(order) == "completed" })
	p.reconcile(t)
}

// The reports of the carrier wait as well, even if another program listens at the address of shipping.
func TestUp_CarrierReportsWaitForShipping(t *testing.T) {
	t.Parallel()
	p := startUp(t, t.TempDir())
	customer := &client{t: t, up: p}
	hold := `{"match":{"operation":"webhook_dispatched"},"action":"pause"}`
	if status, body, err := send(t.Context(), http.MethodPost, p.Carrier+"/ops/faults", hold, "Authorization", "Bearer "+p.Token); err != nil || status != http.StatusCreated {
		t.Fatalf("%v: %d %s", err, status, body)
	}
	order := customer.place("fan", "pm_card_visa")
	until(t, "the parcel is dispatched", func() bool {
		_, snapshot, err := send(t.Context(), http.MethodGet, p.Carrier+"/ops/audit", "", "Authorization", "Bearer "+p.Token)
		return err == nil && strings.Contains(string(snapshot), `"state":"d`) // dispatched or delivered
	})
	p.kill()

	listener, err := net.Listen("tcp", p.Addresses["shipping-addr"])
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another program received a report") })}
	go func() { _ = stranger.Serve(listener) }()
	p = p.again(t, "--without", "shipping")
	customer.up = p
	other := customer.place("gloves", "pm_card_visa")
	until(t, "another order is paid", func() bool { return customer.state(other) == "paid" })
	p.kill()
	if err := stranger.Close(); err != nil {
		t.Error(err)
	}
	p = p.again(t)
	customer.up = p
	for _, id := range []string{order, other} {
		until(t, "the order is completed", func() bool { return customer.state(id) == "completed" })
	}
	p.reconcile(t)
}

// Nothing is lost and nothing happens twice if the process is killed at any time. Customers repeat requests without a
// response, with the same key.
func TestUp_KilledRepeatedly(t *testing.T) {
	t.Parallel()
	p := startUp(t, t.TempDir())
	ordering, done := context.WithCancel(t.Context())
	var customers sync.WaitGroup
	var mu sync.Mutex
	var orders []string
	customer := &client{t: t, up: p}
	for range 4 {
		customers.Go(func() {
			for ordering.Err() == nil {
				story := rand.IntN(4)
				id := customer.place([]string{"fan", "fan", "chandelier", "gloves"}[story], []string{"pm_card_visa", "pm_card_chargeDeclined", "pm_card_visa", "pm_card_visa"}[story])
				if story == 3 {
					customer.cancel(id)
				}
				mu.Lock()
				orders = append(orders, id)
				mu.Unlock()
			}
		})
	}
	for range 20 {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) //nolint:forbidigo // the kill comes at a random time
		p.kill()
		p = p.again(t)
	}
	done()
	customers.Wait()

	for _, id := range orders {
		until(t, "order "+id+" ends", func() bool {
			state := customer.state(id)
			return state == "completed" || state == "cancelled"
		})
	}
	if placed := p.orders(t); placed != len(orders) {
		t.Errorf("%d orders were accepted, the snapshot has %d", len(orders), placed)
	}
	t.Logf("%d orders", len(orders))
	p.reconcile(t)
	p.stop(t)
}

// client is a customer who repeats requests until there is a response. The stack may be restarted at the same addresses.
type client struct {
	t  *testing.T
	up *upProcess
}

func (c *client) place(sku, method string) (id string) {
	body := fmt.Sprintf(`{"customerId":"ada","items":[{"sku":%q,"quantity":1}],"paymentMethod":%q,
		"shippingAddress":{"name":"Ada","street":"1 Ball Street","city":"Vienna","postalCode":"1010","country":"AT"}}`, sku, method)
	var o struct{ ID string }
	c.sendWithRetries(http.MethodPost, "/api/v1/orders", body, http.StatusAccepted, &o)
	return o.ID
}

func (c *client) cancel(id string) {
	c.sendWithRetries(http.MethodPost, "/api/v1/orders/"+id+"/cancel", "", 0, nil)
}

func (c *client) state(id string) string {
	var o struct{ State string }
	c.sendWithRetries(http.MethodGet, "/api/v1/orders/"+id, "", http.StatusOK, &o)
	return o.State
}

// sendWithRetries repeats a request until the status is below 500. If want is zero, any such status is expected.
func (c *client) sendWithRetries(method, path, body string, want int, into any) {
	key := uuid.NewString()
	deadline := time.Now().Add(upTimeout)
	for {
		status, response, err := send(context.Background(), method, c.up.Order+path, body, "Idempotency-Key", key)
		if err == nil && status < 500 && status != http.StatusConflict || status == http.StatusConflict && want == 0 {
			if want != 0 && status != want {
				c.t.Errorf("%s %s: %d %s", method, path, status, response)
			} else if into != nil {
				if err := json.Unmarshal(response, into); err != nil {
					c.t.Error(err)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s %s: no response: %d %v", method, path, status, err)
			return
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			time.Sleep(5 * time.Millisecond) //nolint:forbidigo // polls a stack that is not running
		}
	}
}
