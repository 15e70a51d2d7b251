package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/e2e/internal/edges"
	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

var update = flag.Bool("update", false, "update the output that README.md and docs/observability.md show")

// docs/observability.md shows the spans of one order as a tree. A paused dispatch makes the tree the same in each run, but
// for the order of what two services do at the same time. The test is not parallel, because it injects a fault.
func TestOrder_IsOneTrace(t *testing.T) {
	sku := stack.addProduct(t, "dance-shoes", 2)
	dispatch := stack.inject(t, stack.Carrier, newFault("dispatch", "pause", "", 0))
	id := stack.place(t, newOrder(sku, 2))
	dispatch.await(t)
	stack.awaitOrder(t, id, "is paid and has a shipment", func(o orderView) bool {
		return o.State == "paid" && o.eventCount("shipment.created") == 1
	})
	dispatch.remove(t)
	stack.await(t, id, "completed")
	assertReconciled(t, id)

	tree := edges.Tree(assertTrace(t, id, "delivered"), spans.Span)
	t.Log("\n" + tree)
	if stack.Servers.Broker == nil {
		return // the document shows the names of RabbitMQ
	}
	const document = "../docs/observability.md"
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)(<!-- written by TestOrder_IsOneTrace -->\n```text\n)(.*?)(```)")
	found := shown.FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no place for the span tree", document)
	}
	if *update {
		replaceIn(t, document, found[2], []byte(tree))
		return
	}
	if sortedRows(string(found[2])) != sortedRows(tree) {
		t.Errorf("%s shows another tree; go test -run %s -update . updates it", document, t.Name())
	}
}

// replaceIn replaces the first occurrence of a text in a file.
func replaceIn(t *testing.T, path string, old, text []byte) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(file, old, text, 1), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sortedRows returns the lines of a tree, sorted and without their indentation.
func sortedRows(tree string) string {
	var rows []string
	for line := range strings.Lines(tree) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	slices.Sort(rows)
	return strings.Join(rows, "\n")
}

// Every queue occurs in a story of the table, and every story is asserted by a test.
func TestEdgeTable_CoversQueuesAndStories(t *testing.T) {
	t.Parallel()
	table, err := edgeTable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), stack.Quadrille, "topology", "show").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := table.Queues()
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if queue := fields[len(fields)-1]; queue != "QUEUE" && !slices.Contains(known, queue) {
			t.Errorf("no story has an edge to %s", queue)
		}
	}
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for story := range table {
		if !strings.Contains(tests.String(), `"`+story+`"`) {
			t.Errorf("no test asserts the story %q", story)
		}
	}
}

// Each retry has a span link to the failed attempt before it.
func TestRetry_LinksToPreviousAttempt(t *testing.T) {
	sku := stack.addProduct(t, "mask", 1)
	stack.inject(t, stack.Processor, newFault("create", "drop", "after", 2))
	id := stack.place(t, newOrder(sku, 1))
	stack.await(t, id, "completed")
	assertReconciled(t, id)

	attempts := 0
	for _, s := range assertTrace(t, id, "delivered") {
		if edges.Queue(s) != "payment.payment-charge-requested.q" {
			continue
		}
		attempts++
		if retry := slices.ContainsFunc(s.Links, func(l otlp.Link) bool { return l.Reason == "retry" }); retry != (attempts > 1) {
			t.Errorf("attempt %d has the links %+v", attempts, s.Links)
		}
		if s.Failed != (attempts < 3) {
			t.Errorf("attempt %d failed: %t", attempts, s.Failed)
		}
	}
	if attempts != 3 {
		t.Errorf("%d attempts, want 3", attempts)
	}
}

// A message that is published twice is delivered twice to each consumer, and changes neither the order nor its trace.
func TestDuplicateMessage_TakesEffectOnce(t *testing.T) {
	if stack.Servers.Broker == nil {
		t.Skip("the embedded stack has no broker to publish to")
	}
	t.Parallel()
	sku := stack.addProduct(t, "mask", 1)
	id := stack.place(t, newOrder(sku, 1))
	stack.await(t, id, "completed")
	publishAgain(t, "order.created.v1", id)

	stack.eventually(t, "each consumer has processed it twice", func() bool {
		deliveries := map[string]int{}
		for _, s := range assertTrace(t, id, "delivered") {
			if strings.HasSuffix(edges.Queue(s), ".order-created.q") {
				deliveries[edges.Queue(s)]++
			}
		}
		return deliveries["inventory.order-created.q"] == 2 && deliveries["payment.order-created.q"] == 2 && deliveries["shipping.order-created.q"] == 2
	})
	created := map[string]int{}
	for _, s := range assertTrace(t, id, "delivered") {
		if s.Kind == otlp.Producer {
			created[s.Name]++
		}
	}
	for name, times := range created {
		if times != 1 {
			t.Errorf("%s was created %d times", name, times)
		}
	}
	assertMoney(t, id, 1, 1999)
	assertStock(t, sku, 0)
	assertReconciled(t, id)
}

// publishAgain publishes an event of the order service for a second time, with the credentials of the service.
func publishAgain(t *testing.T, eventType, subject string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), stack.Servers.Database["order"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var id, body string
	err = db.QueryRow(t.Context(), "select event_id, body from event_log where type = $1 and subject = $2", eventType, subject).Scan(&id, &body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(stack.Servers.Broker["order"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := channel.PublishWithDeferredConfirm("order.events", eventType, true, false, amqp.Publishing{
		ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent, MessageId: id, Type: eventType, Body: []byte(body),
	})
	if err != nil || !confirm.Wait() {
		t.Fatal("the broker did not confirm the message:", err)
	}
}

// A change of the catalogue belongs to no order: it is a trace of its own.
func TestCatalogue_ReachesOrderService(t *testing.T) {
	t.Parallel()
	sku := stack.addProduct(t, "programme", 1)
	url := stack.Inventory + "/api/v1/products/" + sku
	stack.must(t, http.StatusOK, http.MethodPut, url, map[string]any{"name": "programme", "price": money{2999, "EUR"}})
	stack.must(t, http.StatusNoContent, http.MethodDelete, url, nil)

	table, err := edgeTable()
	if err != nil {
		t.Fatal(err)
	}
	mismatch := ""
	stack.eventually(t, "the traces of the catalogue are complete", func() bool {
		stack.flushSpans(t)
		var seen []string
		mismatch = ""
		traces := map[string]bool{}
		for _, s := range spans.With(edges.Subject, sku) {
			if !traces[s.Trace] {
				traces[s.Trace] = true
				r := edges.Read(spans.Trace(s.Trace), spans.Span)
				seen = append(seen, r.Edges...)
				mismatch += strings.Join(r.Flaws, "\n")
			}
		}
		if len(traces) != 3 {
			mismatch += fmt.Sprintf("%d traces, want 3\n", len(traces))
		}
		mismatch += table["products"].Diff(seen)
		return mismatch == ""
	}, func() string { return mismatch })
}
