package e2e

import (
	"context"
	"flag"
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

var update = flag.Bool("update", false, "write the span tree of docs/observability.md anew")

// An order's spans as text: the test prints them, and docs/observability.md shows them. Its moments are held still, so
// that the same happens each time; in which order two services hear of something, and which of them is the last that
// another one waited for, is theirs. It is not parallel.
func TestOneOrderIsOneTrace(t *testing.T) {
	sku := shop.stock(t, "dance-shoes", 2)
	held := shop.misbehave(t, shop.Carrier, fault("dispatch", "pause", "", 0))
	id := shop.place(t, orderOf(sku, 2))
	held.await(t)
	shop.eventually(t, "the order knows of its payment and its parcel", func() bool {
		o, ok := shop.orderState(t, id)
		return ok && o.State == "paid" && o.heard("shipment.created") == 1
	})
	held.mend(t)
	shop.await(t, id, "completed")
	assertBooks(t, id)

	tree := edges.Tree(assertTrace(t, id, "delivered"), spans.Span)
	t.Log("\n" + tree)
	if shop.Servers.Broker == nil {
		return // the document shows RabbitMQ's names
	}
	const document = "../docs/observability.md"
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)(<!-- written by TestOneOrderIsOneTrace -->\n```text\n)(.*?)(```)")
	found := shown.FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no place for the tree", document)
	}
	if *update {
		text = shown.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(tree, "$", "$$")+"${3}"))
		if err := os.WriteFile(document, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if rowsOf(string(found[2])) != rowsOf(tree) {
		t.Errorf("%s shows another tree; go test -run %s -update . writes it anew", document, t.Name())
	}
}

// rowsOf are a tree's lines, sorted and without what they hang on.
func rowsOf(tree string) string {
	var rows []string
	for line := range strings.Lines(tree) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	slices.Sort(rows)
	return strings.Join(rows, "\n")
}

// Every queue of the shop is in some story's table, and every story of the table is told by a test.
func TestTableOfEdges_IsComplete(t *testing.T) {
	t.Parallel()
	table, err := edgesOf()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), shop.Quadrille, "topology", "show").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := table.Queues()
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if queue := fields[len(fields)-1]; queue != "QUEUE" && !slices.Contains(known, queue) {
			t.Errorf("no story tells of %s", queue)
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
			t.Errorf("no test tells the story %q", story)
		}
	}
}

// An attempt that fails at the processor goes to the ladder, and the next one says which it follows.
func TestRetries_AreLinkedToTheAttemptBefore(t *testing.T) {
	sku := shop.stock(t, "mask", 1)
	shop.misbehave(t, shop.Processor, fault("create", "drop", "after", 2))
	id := shop.place(t, orderOf(sku, 1))
	shop.await(t, id, "completed")
	assertBooks(t, id)

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

// A message that the broker has twice is one delivery more for everybody, and changes nothing: neither the order nor its
// trace. It takes a broker.
func TestMessageTwice_IsTakenOnce(t *testing.T) {
	if shop.Servers.Broker == nil {
		return
	}
	t.Parallel()
	sku := shop.stock(t, "mask", 1)
	id := shop.place(t, orderOf(sku, 1))
	shop.await(t, id, "completed")
	publishAgain(t, "order.created.v1", id)

	shop.eventually(t, "everybody has had it twice", func() bool {
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
			t.Errorf("%s happened %d times", name, times)
		}
	}
	assertMoney(t, id, 1, 1999)
	assertStock(t, sku, 0)
	assertBooks(t, id)
}

// publishAgain sends an event that the order service has published once more, as the service.
func publishAgain(t *testing.T, eventType, subject string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), shop.Servers.Database["order"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var id, body string
	err = db.QueryRow(t.Context(), "select event_id, body from event_log where type = $1 and subject = $2", eventType, subject).Scan(&id, &body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(shop.Servers.Broker["order"])
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
		t.Fatal("not confirmed", err)
	}
}

// What the catalogue tells is no order's: each change is a trace of its own.
func TestCatalogue_IsToldToTheOrderService(t *testing.T) {
	t.Parallel()
	sku := shop.stock(t, "programme", 1)
	url := shop.Inventory + "/api/v1/products/" + sku
	shop.must(t, http.StatusOK, http.MethodPut, url, map[string]any{"name": "programme", "price": money{2999, "EUR"}})
	shop.must(t, http.StatusNoContent, http.MethodDelete, url, nil)

	table, err := edgesOf()
	if err != nil {
		t.Fatal(err)
	}
	wrong := ""
	shop.eventually(t, "the catalogue's traces have come", func() bool {
		shop.flushSpans(t)
		var seen []string
		wrong = ""
		traces := map[string]bool{}
		for _, s := range spans.With(edges.Subject, sku) {
			if !traces[s.Trace] {
				traces[s.Trace] = true
				r := edges.Read(spans.Trace(s.Trace), spans.Span)
				seen = append(seen, r.Edges...)
				wrong += strings.Join(r.Flaws, "\n")
			}
		}
		if len(traces) != 3 {
			wrong += "want three traces"
		}
		wrong += table["products"].Diff(seen)
		return wrong == ""
	}, func() string { return wrong })
}
