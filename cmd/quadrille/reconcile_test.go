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
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

type obj = map[string]any

// shopBooks are the books of a shop with one order, order-1, that was delivered and paid with captured, of a total
// of 1299.
func shopBooks(t *testing.T, captured int) map[string]obj {
	t.Helper()
	all, err := parseTopologies("")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	log, marks := map[string][]obj{}, map[string][]obj{}
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
		for _, topology := range all {
			for _, q := range topology.Queues {
				if q.Type == e.kind {
					marks[q.Service] = append(marks[q.Service], obj{"handler": q.Handler, "eventId": id, "at": now.Add(-time.Minute)})
				}
			}
		}
	}
	service := func(name string, entries obj) obj {
		return obj{"service": name, "at": now, "entries": entries, "events": obj{
			"audited": true, "consumedSince": now.Add(-720 * time.Hour), "outbox": []obj{}, "published": log[name], "consumed": marks[name],
		}}
	}
	eur := obj{"amount": 1299, "currency": "EUR"}
	return map[string]obj{
		"order": service("order", obj{"orders": []obj{{
			"orderId": "order-1", "state": "completed", "total": eur, "placedAt": now.Add(-time.Minute), "stalled": false,
		}}}),
		"inventory": service("inventory", obj{
			"products":     []obj{{"sku": "tea", "received": 5, "onHand": 3, "reserved": 0, "deleted": false}},
			"reservations": []obj{{"orderId": "order-1", "state": "committed", "items": []obj{{"sku": "tea", "quantity": 2}}}},
		}),
		"payment": service("payment", obj{"payments": []obj{{
			"orderId": "order-1", "state": "charged", "amount": eur, "captured": captured, "refunded": 0, "paymentId": "pi_1",
		}}}),
		"shipping": service("shipping", obj{"shipments": []obj{{"orderId": "order-1", "state": "delivered", "shipmentId": "shp_1"}}}),
		"processor": {"paymentIntents": []obj{{
			"id": "pi_1", "orderId": "order-1", "amount": captured, "currency": "eur", "status": "succeeded", "captures": 1, "refunds": []obj{},
		}}},
		"carrier": {"shipments": []obj{{"id": "shp_1", "reference": "order-1", "state": "delivered"}}},
	}
}

// serveShop serves what books answers, and gives the flags that lead there.
func serveShop(t *testing.T, books func() map[string]obj) (flags []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		book, known := books()[strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/ops/audit")]
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_ = json.NewEncoder(w).Encode(book)
		}
	}))
	t.Cleanup(server.Close)
	flags = []string{"ledger", "--token", "secret", "--confirm", "0s"}
	for _, p := range partyFlags {
		flags = append(flags, "--"+p.flag, server.URL+"/"+p.party)
	}
	return flags
}

func always(books map[string]obj) func() map[string]obj {
	return func() map[string]obj { return books }
}

// brokerWithTopology answers the flags for one.
func brokerWithTopology(t *testing.T) []string {
	t.Helper()
	url := testservers.AMQP(t)
	if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-ladder", "1s"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{"--amqp-url", url, "--retry-ladder", "1s"}
}

func runQuadrille(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

func TestLedger_CleanShop(t *testing.T) {
	t.Parallel()
	flags := append(serveShop(t, always(shopBooks(t, 1299))), brokerWithTopology(t)...)
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
		"queues":  obj{"waiting": 0., "retrying": 0., "dead": 0.},
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

func TestLedger_NamesWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	flags := serveShop(t, always(shopBooks(t, 1300)))
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
		"kind": "money", "rule": "completed-kept", "what": "what is kept of a completed order is not its total",
		"orders": []any{"order-1"}, "skus": []any{}, "details": []any{"order-1: total 1299 EUR, captured 1300, refunded 0 EUR (pi_1)"},
	}}
	if diff := cmp.Diff(want, got.Findings); diff != "" || got.Clean || status != 1 {
		t.Errorf("status %d\n%s", status, diff)
	}

	// It does not concern another order, which nobody knows.
	status, out, _ = runQuadrille(t, append(flags, "--order", "order-2,order-3", "--order", "order-2")...)
	if status != 3 || strings.Count(out, "does not know it") != 2 || strings.Contains(out, "dead-letters") {
		t.Errorf("status %d\n%s", status, out)
	}
	if status, out, _ = runQuadrille(t, append(flags, "--order", "order-1")...); status != 1 {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestLedger_FindsDeadLettersOnTheBroker(t *testing.T) {
	t.Parallel()
	flags := serveShop(t, always(shopBooks(t, 1299)))
	status, out, _ := runQuadrille(t, append(flags, "--amqp-url", testservers.AMQP(t))...)
	if status != 3 || !strings.Contains(out, "dead-letters (without broker)") || !strings.Contains(out, "payment.order-created.dlq") {
		t.Errorf("without a topology: status %d\n%s", status, out)
	}
	broker := brokerWithTopology(t)
	all, err := parseTopologies("1s")
	if err != nil {
		t.Fatal(err)
	}
	bury(t, broker[1], all[0].Queues[0].Service, rabbitmq.DeadLetterQueueName(all[0].Queues[0]))
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(out, "order.inventory-reserved.dlq holds dead letters\n    1 message\n") {
		if time.Now().After(deadline) {
			t.Fatalf("status %d\n%s", status, out)
		}
		status, out, _ = runQuadrille(t, append(flags, broker...)...)
	}
	if status != 1 || !strings.Contains(out, "1 dead") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestLedger_NamesWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	books := shopBooks(t, 1299)
	delete(books, "carrier")
	status, out, _ := runQuadrille(t, serveShop(t, always(books))...)
	if status != 3 || !strings.Contains(out, "parcel (without carrier): ") || !strings.Contains(out, "503") || !strings.Contains(out, "as far as it was checked") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out, _ = runQuadrille(t, serveShop(t, always(nil))...)
	if status != 3 || !strings.Contains(out, "NOTHING could be checked.") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestLedger_SettledFailsWhileSomethingIsUnderWay(t *testing.T) {
	t.Parallel()
	books := shopBooks(t, 1299)
	books["order"]["entries"].(obj)["orders"].([]obj)[0]["state"] = "shipped"
	log := books["order"]["events"].(obj)
	log["published"] = log["published"].([]obj)[:1]
	flags := append(serveShop(t, always(books)), brokerWithTopology(t)...)
	if status, out, _ := runQuadrille(t, flags...); status != 0 || !strings.Contains(out, "1 order, 0 events") {
		t.Errorf("status %d\n%s", status, out)
	}
	status, out, _ := runQuadrille(t, append(flags, "--settled", "--wait", "1ms")...)
	if status != 1 || !strings.Contains(out, "NOT SETTLED") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestLedger_SaysWhatIsWrongWithItsUse(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for says, args := range map[string][]string{
		"which token":            {},
		"--order-url":            {"--token", "x", "--order-url", "localhost:8081"},
		"not a URL such as":      {"--token", "x", "--carrier-url", "127.0.0.1"},
		"unknown flag":           {"--tokn", "x"},
		"unknown command \"it\"": {"it"},
		"invalid argument":       {"--wait", "long"},
		"must not be shorter":    {"--token", "x", "--wait", "1s"},
		"--overdue must":         {"--token", "x", "--overdue", "0s"},
		"--every must":           {"--token", "x", "--every", "1ms"},
		"--every goes with":      {"--token", "x", "--every", "1m", "--json"},
		"--listen needs":         {"--token", "x", "--listen", ":1"},
		"--order: an empty":      {"--token", "x", "--order", "a,,b"},
		"soon":                   {"--token", "x", "--retry-ladder", "soon"},
		"--amqp-url":             {"--token", "x", "--amqp-url", "http://u:geheim@localhost"},
	} {
		status, out, errOut := runQuadrille(t, append([]string{"ledger"}, args...)...)
		if status != 2 || out != "" || !strings.Contains(errOut, says) || strings.Contains(errOut, "geheim") {
			t.Errorf("%v: status %d, %q does not say %q", args, status, errOut, says)
		}
	}
}

func TestLedger_WhatCannotBeToldIsNoFinding(t *testing.T) {
	t.Parallel()
	flags := serveShop(t, always(shopBooks(t, 1299)))
	for _, more := range [][]string{nil, {"--json"}} {
		var errOut bytes.Buffer
		if status := run(t.Context(), append(flags, more...), fullDisk{}, &errOut); status != 3 || !strings.Contains(errOut.String(), "no space") {
			t.Errorf("%v: status %d, %s", more, status, &errOut)
		}
	}
}

func TestLedgerEvery_NeedsAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	flags := append(serveShop(t, always(shopBooks(t, 1299))), "--every", "1s", "--listen", taken.Addr().String())
	if status, _, errOut := runQuadrille(t, flags...); status != 3 || !strings.Contains(errOut, "in use") {
		t.Errorf("status %d, %s", status, errOut)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestLedger_HelpTellsNoSecret(t *testing.T) {
	t.Setenv("OPS_TOKEN", "geheim")
	t.Setenv("AMQP_URL", "amqp://u:geheim@localhost")
	status, out, _ := runQuadrille(t, "ledger", "--help")
	if status != 0 || strings.Contains(out, "geheim") || !strings.Contains(out, "Exit status") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestRun_StatusOfOtherFailures(t *testing.T) {
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

// It is the one test of the metrics, because they are the process's.
func TestLedgerEvery_ServesMetricsAndLogsEachFindingOnce(t *testing.T) {
	var shown atomic.Pointer[map[string]obj]
	right, off, silent := shopBooks(t, 1299), shopBooks(t, 1300), shopBooks(t, 1299)
	delete(silent, "processor")
	shown.Store(&right)
	flags := serveShop(t, func() map[string]obj { return *shown.Load() })

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
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
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
		t.Errorf("livez says %q", got)
	}
	shown.Store(&off)
	until("found", shows(`quadrille_reconcile_findings{kind="money"} 1`))
	first := timestamp(metrics)
	until("checked again", func() bool { return timestamp(scrape("/metrics")) != first })
	shown.Store(&silent)
	until("in the dark", shows("quadrille_reconcile_not_checked 2"))
	if !strings.Contains(metrics, `quadrille_reconcile_findings{kind="money"} 1`) {
		t.Errorf("what was found is taken for well\n%s", metrics)
	}
	shown.Store(&off)
	until("seen again", shows("quadrille_reconcile_not_checked 1"))
	shown.Store(&right)
	until("well again", shows(`quadrille_reconcile_findings{kind="money"} 0`))

	stop()
	select {
	case status := <-done:
		if status != 0 {
			t.Errorf("status %d", status)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("does not stop")
	}
	if n := strings.Count(logs.String(), "the books do not add up"); n != 1 || !strings.Contains(logs.String(), "order-1") {
		t.Errorf("logged %d times\n%s", n, logs)
	}
	if n := strings.Count(logs.String(), `"not checked"`); n != 2 { // the broker, and for a while the processor
		t.Errorf("what is not checked was logged %d times\n%s", n, logs)
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

// bury publishes a message into a dead-letter queue, the way the service does.
func bury(t *testing.T, url, service, queue string) {
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
