package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/services/topology"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

type obj = map[string]any

// newSnapshots returns the audit snapshots of a stack with one order, order-1. It was delivered, its total is 1299, and its
// payment is captured.
func newSnapshots(t *testing.T, captured int) map[string]obj {
	t.Helper()
	all, err := topology.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	log, records := map[string][]obj{}, map[string][]obj{}
	for i, e := range []struct{ publisher, kind string }{
		{"order", "order.created.v1"},
		{"inventory", "inventory.reserved.v1"},
		{"payment", "payment.processed.v1"},
		{"shipping", "shipment.created.v1"},
		{"shipping", "shipment.dispatched.v1"},
		{"shipping", "shipment.delivered.v1"},
		{"order", "order.completed.v1"},
	} {
		id := fmt.Sprintf("event-%d", i)
		log[e.publisher] = append(log[e.publisher], obj{"id": id, "type": e.kind, "subject": "order-1", "at": now.Add(-time.Minute)})
		for _, service := range all {
			for _, q := range service.Queues {
				if q.Type == e.kind {
					records[q.Service] = append(records[q.Service], obj{"handler": q.Handler, "eventId": id, "at": now.Add(-time.Minute)})
				}
			}
		}
	}
	snapshot := func(name string, entries obj) obj {
		return obj{"service": name, "at": now, "entries": entries, "events": obj{
			"audited": true, "consumedSince": now.Add(-720 * time.Hour), "outbox": []obj{}, "published": log[name], "consumed": records[name],
		}}
	}
	eur := obj{"amount": 1299, "currency": "EUR"}
	return map[string]obj{
		"order": snapshot("order", obj{"orders": []obj{{
			"orderId": "order-1", "state": "completed", "total": eur, "placedAt": now.Add(-time.Minute), "stalled": false,
		}}}),
		"inventory": snapshot("inventory", obj{
			"products":     []obj{{"sku": "tea", "received": 5, "onHand": 3, "reserved": 0, "deleted": false}},
			"reservations": []obj{{"orderId": "order-1", "state": "committed", "items": []obj{{"sku": "tea", "quantity": 2}}}},
		}),
		"payment": snapshot("payment", obj{"payments": []obj{{
			"orderId": "order-1", "state": "charged", "amount": eur, "captured": captured, "refunded": 0, "paymentId": "pi_1",
		}}}),
		"shipping": snapshot("shipping", obj{"shipments": []obj{{"orderId": "order-1", "state": "delivered", "shipmentId": "shp_1"}}}),
		"processor": {"paymentIntents": []obj{{
			"id": "pi_1", "orderId": "order-1", "amount": captured, "currency": "eur", "status": "succeeded", "captures": 1, "refunds": []obj{},
		}}},
		"carrier": {"shipments": []obj{{"id": "shp_1", "reference": "order-1", "state": "delivered"}}},
	}
}

// serveSnapshots serves audit snapshots, and returns the flags of quadrille reconcile for them.
func serveSnapshots(t *testing.T, snapshots func() map[string]obj) (flags []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snapshot, known := snapshots()[strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/ops/audit")]
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_ = json.NewEncoder(w).Encode(snapshot)
		}
	}))
	t.Cleanup(server.Close)
	flags = []string{"reconcile", "--token", "secret", "--confirm", "0s"}
	for _, u := range urlFlags {
		flags = append(flags, "--"+u.flag, server.URL+"/"+u.source)
	}
	return flags
}

func always(snapshots map[string]obj) func() map[string]obj {
	return func() map[string]obj { return snapshots }
}

// brokerWithTopology returns the flags for a broker with the topology.
func brokerWithTopology(t *testing.T) []string {
	t.Helper()
	url := testservers.AMQP(t)
	if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-delays", "1s"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{"--amqp-url", url, "--retry-delays", "1s"}
}

func runQuadrille(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

func TestReconcile_Clean(t *testing.T) {
	t.Parallel()
	flags := append(serveSnapshots(t, always(newSnapshots(t, 1299))), brokerWithTopology(t)...)
	status, out, errOut := runQuadrille(t, flags...)
	if status != 0 || errOut != "" || !strings.Contains(out, "\nClean.\n") {
		t.Errorf("status %d\n%s%s", status, out, errOut)
	}
	status, out, _ = runQuadrille(t, append(flags, "--json", "--settled")...)
	var got struct {
		At         time.Time
		Clean      bool
		Checked    obj
		Findings   []obj
		UnderWay   obj
		NotChecked []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := obj{
		"orders":  obj{"pending": 0., "reserved": 0., "paid": 0., "shipped": 0., "completed": 1., "cancelling": 0., "cancelled": 0.},
		"money":   obj{"EUR": obj{"captured": 1299., "refunded": 0., "kept": 1299.}},
		"stock":   obj{"products": 1., "received": 5., "onHand": 3., "reserved": 0., "shipped": 2.},
		"parcels": obj{"delivered": 1.},
		"events":  obj{"published": 7., "due": 11., "consumed": 11.},
		"queues":  obj{"waiting": 0., "retrying": 0., "deadLettered": 0.},
	}
	if diff := cmp.Diff(want, got.Checked); diff != "" {
		t.Error(diff)
	}
	if status != 0 || !got.Clean || got.At.IsZero() || got.Findings == nil || len(got.Findings) > 0 || got.NotChecked == nil || len(got.NotChecked) > 0 {
		t.Errorf("status %d\n%s", status, out)
	}
	if diff := cmp.Diff(obj{"orders": 0., "events": 0., "unconfirmed": []any{}, "some": []any{}}, got.UnderWay); diff != "" {
		t.Error(diff)
	}
}

func TestReconcile_Findings(t *testing.T) {
	t.Parallel()
	flags := serveSnapshots(t, always(newSnapshots(t, 1300)))
	status, out, errOut := runQuadrille(t, flags...)
	for _, want := range []string{"NOT CLEAN: one finding.", "\nmoney\n", "order-1: total 1299 EUR, captured 1300"} {
		if status != 1 || errOut != "" || !strings.Contains(out, want) {
			t.Errorf("status %d, and not %q\n%s%s", status, want, out, errOut)
		}
	}
	status, out, _ = runQuadrille(t, append(flags, "--json")...)
	var got struct {
		Clean    bool
		Findings []obj
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := []obj{{
		"kind": "money", "rule": "completed-kept", "what": "the money kept for a completed order is not its total",
		"orders": []any{"order-1"}, "skus": []any{}, "details": []any{"order-1: total 1299 EUR, captured 1300, refunded 0 EUR (pi_1)"},
	}}
	if diff := cmp.Diff(want, got.Findings); diff != "" || got.Clean || status != 1 {
		t.Errorf("status %d\n%s", status, diff)
	}

	// The finding does not apply to other orders.
	status, out, _ = runQuadrille(t, append(flags, "--order", "order-2,order-3", "--order", "order-2")...)
	if status != 3 || strings.Count(out, "unknown to the order service") != 2 || strings.Contains(out, "dead-letters") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, out, _ = runQuadrille(t, append(flags, "--order", "order-1")...); status != 1 {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestReconcile_DeadLetters(t *testing.T) {
	t.Parallel()
	flags := serveSnapshots(t, always(newSnapshots(t, 1299)))
	status, out, _ := runQuadrille(t, append(flags, "--amqp-url", testservers.AMQP(t))...)
	if status != 3 || !strings.Contains(out, "dead-letters (without broker)") || !strings.Contains(out, "payment.order-created.dlq") {
		t.Errorf("without a topology: status %d\n%s", status, out)
	}
	broker := brokerWithTopology(t)
	all, err := topology.All([]time.Duration{time.Second})
	if err != nil {
		t.Fatal(err)
	}
	deadLetter(t, broker[1], all[0].Queues[0].Service, rabbitmq.DeadLetterQueueName(all[0].Queues[0]))
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(out, "order.inventory-reserved.dlq has messages\n    1 message\n") {
		if time.Now().After(deadline) {
			t.Fatalf("status %d\n%s", status, out)
		}
		status, out, _ = runQuadrille(t, append(flags, broker...)...)
	}
	if status != 1 || !strings.Contains(out, "1 dead-lettered") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestReconcile_UnavailableSource(t *testing.T) {
	t.Parallel()
	snapshots := newSnapshots(t, 1299)
	delete(snapshots, "carrier")
	status, out, _ := runQuadrille(t, serveSnapshots(t, always(snapshots))...)
	if status != 3 || !strings.Contains(out, "parcel (without carrier): ") || !strings.Contains(out, "503") || !strings.Contains(out, "not everything could be checked") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out, _ = runQuadrille(t, serveSnapshots(t, always(nil))...)
	if status != 3 || !strings.Contains(out, "NOT CHECKED") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestReconcile_Settled(t *testing.T) {
	t.Parallel()
	snapshots := newSnapshots(t, 1299)
	snapshots["order"]["entries"].(obj)["orders"].([]obj)[0]["state"] = "shipped"
	log := snapshots["order"]["events"].(obj)
	log["published"] = log["published"].([]obj)[:1]
	flags := append(serveSnapshots(t, always(snapshots)), brokerWithTopology(t)...)
	if status, out, _ := runQuadrille(t, flags...); status != 0 || !strings.Contains(out, "1 order, 0 events") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out, _ := runQuadrille(t, append(flags, "--settled", "--wait", "1ms")...)
	if status != 1 || !strings.Contains(out, "NOT SETTLED") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestReconcile_WrongUsage(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for want, args := range map[string][]string{
		"missing token":          {},
		"--order-url":            {"--token", "x", "--order-url", "localhost:8081"},
		"not a URL such as":      {"--token", "x", "--carrier-url", "127.0.0.1"},
		"unknown flag":           {"--tokn", "x"},
		"unknown command \"it\"": {"it"},
		"invalid argument":       {"--wait", "long"},
		"must not be shorter":    {"--token", "x", "--wait", "1s"},
		"--overdue must":         {"--token", "x", "--overdue", "0s"},
		"--every must":           {"--token", "x", "--every", "1ms"},
		"--every cannot":         {"--token", "x", "--every", "1m", "--json"},
		"--listen needs":         {"--token", "x", "--listen", ":1"},
		"--order: empty":         {"--token", "x", "--order", "a,,b"},
		"soon":                   {"--token", "x", "--retry-delays", "soon"},
		"--amqp-url":             {"--token", "x", "--amqp-url", "http://u:geheim@localhost"},
	} {
		status, out, errOut := runQuadrille(t, append([]string{"reconcile"}, args...)...)
		if status != 2 || out != "" || !strings.Contains(errOut, want) || strings.Contains(errOut, "geheim") {
			t.Errorf("%v: status %d, %q does not contain %q", args, status, errOut, want)
		}
	}
}

func TestReconcile_FailedOutput(t *testing.T) {
	t.Parallel()
	flags := serveSnapshots(t, always(newSnapshots(t, 1299)))
	for _, more := range [][]string{nil, {"--json"}} {
		var errOut bytes.Buffer
		if status := run(t.Context(), append(flags, more...), fullDisk{}, &errOut); status != 3 || !strings.Contains(errOut.String(), "no space") {
			t.Errorf("%v: status %d, %s", more, status, &errOut)
		}
	}
}

func TestReconcile_PortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	flags := append(serveSnapshots(t, always(newSnapshots(t, 1299))), "--every", "1s", "--listen", taken.Addr().String())
	if status, _, errOut := runQuadrille(t, flags...); status != 3 || !strings.Contains(errOut, "in use") {
		t.Errorf("status %d, %s", status, errOut)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestReconcile_HelpHasNoSecrets(t *testing.T) {
	t.Setenv("OPS_TOKEN", "geheim")
	t.Setenv("AMQP_URL", "amqp://u:geheim@localhost")
	status, out, _ := runQuadrille(t, "reconcile", "--help")
	if status != 0 || strings.Contains(out, "geheim") || !strings.Contains(out, "Exit status") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestRun_Status(t *testing.T) {
	t.Parallel()
	for want, args := range map[int][]string{
		0: {"topology", "show"},
		1: {"topology", "apply", "--amqp-url", "amqp://127.0.0.1:1", "--wait", "10ms"},
		2: {"toplogy"},
	} {
		if status, _, errOut := runQuadrille(t, args...); status != want || (errOut == "") != (want == 0) {
			t.Errorf("%v: status %d: %s", args, status, errOut)
		}
	}
}

// This is the only test of the metrics, because they are global.
func TestReconcile_Watch(t *testing.T) {
	var shown atomic.Pointer[map[string]obj]
	clean, mismatch, incomplete := newSnapshots(t, 1299), newSnapshots(t, 1300), newSnapshots(t, 1299)
	delete(incomplete, "processor")
	shown.Store(&clean)
	flags := serveSnapshots(t, func() map[string]obj { return *shown.Load() })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs := &lockedBuffer{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append(flags, "--every", "1s", "--listen", "127.0.0.1:0"), io.Discard, logs)
	}()
	until := func(what string, condition func() bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !condition() {
			select {
			case <-tick.C:
			case status := <-done:
				t.Fatalf("ended with status %d\n%s", status, logs)
			case <-deadline:
				t.Fatalf("not %s\n%s", what, logs)
			}
		}
	}
	var address string
	until("listening", func() bool {
		found := regexp.MustCompile(`"listening".*"addr":"([^"]+)"`).FindStringSubmatch(logs.String())
		if found != nil {
			address = found[1]
		}
		return found != nil
	})
	scrape := func(path string) string {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	var metrics string
	shows := func(lines ...string) func() bool {
		return func() bool {
			metrics = scrape("/metrics")
			for _, line := range lines {
				if !strings.Contains(metrics, line) {
					return false
				}
			}
			return true
		}
	}
	until("checked", shows("\nquadrille_reconcile_last_check_timestamp_seconds "))
	for _, line := range []string{
		`quadrille_reconcile_findings{kind="money"} 0`, `quadrille_reconcile_findings{kind="parcel"} 0`,
		`quadrille_reconcile_findings{kind="stock"} 0`, `quadrille_reconcile_findings{kind="unfinished"} 0`,
		`quadrille_reconcile_findings{kind="outbox"} 0`, `quadrille_reconcile_findings{kind="events"} 0`,
		`quadrille_reconcile_findings{kind="dead-letters"} 0`, `quadrille_reconcile_under_way 0`, `quadrille_reconcile_not_checked 1`,
		`quadrille_reconcile_orders{state="completed"} 1`, `quadrille_reconcile_orders{state="pending"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%s is not in\n%s", line, metrics)
		}
	}
	if got := scrape("/livez"); !strings.Contains(got, "alive") {
		t.Errorf("livez: %q", got)
	}
	shown.Store(&mismatch)
	until("found", shows(`quadrille_reconcile_findings{kind="money"} 1`))
	first := timestamp(metrics)
	until("checked again", func() bool { return timestamp(scrape("/metrics")) != first })
	shown.Store(&incomplete)
	until("incomplete", shows("quadrille_reconcile_not_checked 2"))
	if !strings.Contains(metrics, `quadrille_reconcile_findings{kind="money"} 1`) {
		t.Errorf("the finding is gone\n%s", metrics)
	}
	shown.Store(&mismatch)
	until("complete again", shows("quadrille_reconcile_not_checked 1"))
	shown.Store(&clean)
	until("clean again", shows(`quadrille_reconcile_findings{kind="money"} 0`))

	stop()
	select {
	case status := <-done:
		if status != 0 {
			t.Errorf("status %d", status)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("does not stop")
	}
	if n := strings.Count(logs.String(), "reconciliation mismatch"); n != 1 || !strings.Contains(logs.String(), "order-1") {
		t.Errorf("logged %d times\n%s", n, logs)
	}
	if n := strings.Count(logs.String(), `"not checked"`); n != 2 { // the broker, and once the processor
		t.Errorf("gaps were logged %d times\n%s", n, logs)
	}
}

func timestamp(metrics string) string {
	return regexp.MustCompile(`(?m)^quadrille_reconcile_last_check_timestamp_seconds.*$`).FindString(metrics)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// deadLetter publishes a message to a dead-letter queue, as a service does.
func deadLetter(t *testing.T, url, service, queue string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm(rabbitmq.RetryExchangeName(service), queue, true, false, amqp.Publishing{})
	if err != nil || !confirm.Wait() {
		t.Fatal(err)
	}
}
