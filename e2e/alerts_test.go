package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Each alert fires when its cause occurs, together with no other alerts than its runbook names, and ends when the problem is
// fixed as the runbook describes. Only compose runs Prometheus.
//
// The first step uses the alert rules as they are. Later steps use a copy with shorter durations.
func TestAlerts_FireOnCauseAndEndOnFix(t *testing.T) {
	long(t)
	if os.Getenv("QUADRILLE_E2E") != "compose" {
		t.Skip("only compose runs Prometheus")
	}
	o := observe(t)
	o.awaitCalm(t)

	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, f) {
			t.FailNow() // the problem would affect the next step
		}
	}
	step("service is stopped for a minute", o.stopInventory)
	o.shortenAlerts(t, map[string][2]string{
		"OutboxStale":              {"> 30", "> 10"},
		"DatabaseUnavailable":      {"for: 30s", "for: 10s"},
		"ConsumerMissing":          {"for: 1m", "for: 20s"},
		"ConsumerLag":              {"for: 2m", "for: 10s"},
		"ReconciliationMismatch":   {"for: 1m", "for: 20s"},
		"ReconciliationIncomplete": {"for: 5m", "for: 10s"},
	})
	step("card processor is unavailable", o.stopProcessor)
	step("broker is stopped", o.stopBroker)
	step("database is stopped", o.stopDatabase)
	step("every dashboard panel has data", o.checkDashboards)
	if report, err := stack.reconcile(); err != nil {
		t.Errorf("reconciliation failed: %v\n%s", err, report)
	}
}

// stopInventory wants exactly the alerts that the runbook of ServiceDown names.
func (o *observers) stopInventory(t *testing.T) {
	want := []string{"ServiceDown inventory"}
	o.expected["ServiceDown"] = true
	for _, c := range relatedAlerts(t, "ServiceDown") {
		if c.after <= time.Minute && (c.service == "any" || c.service == "inventory") {
			want = append(want, c.alert)
		}
	}
	sku := stack.addProduct(t, "metronome", 1)
	o.compose(t, "stop", "inventory")
	minute := time.After(time.Minute)
	id := stack.place(t, newOrder(sku, 1))
	o.await(t, "ServiceDown inventory")
	var fired []string
	for end := false; !end; {
		select {
		case <-minute:
			end = true
		case <-time.After(200 * time.Millisecond):
		}
		fired = append(fired, o.firing(t)...)
	}
	slices.Sort(fired)
	if fired = slices.Compact(fired); !slices.Equal(fired, want) {
		t.Errorf("%q fired within a minute, the runbook names %q", fired, want)
	}
	o.compose(t, "start", "inventory")
	stack.await(t, id, "completed")
	o.awaitCalm(t)
}

// stopProcessor makes orders wait for their payment. During that time it causes the alerts that do not depend on that.
func (o *observers) stopProcessor(t *testing.T) {
	for _, name := range []string{"ConsumerLag", "OrdersStalled", "EventsParked", "DeadLetters", "ConsumerMissing", "ReconciliationMismatch", "ReconciliationIncomplete"} {
		o.expect(t, name)
	}
	restartOrder(t, "ORDER_STALLED_AFTER=10s")
	sku := stack.addProduct(t, "tutu", 200)
	outage := stack.inject(t, stack.Processor, newFault("", "unavailable", "", 0))
	waiting := placeAll(t, sku, 160)
	o.await(t, "OrdersStalled payment")
	const queue = "payment.payment-charge-requested.q"
	o.await(t, "ConsumerLag "+queue)

	// The queue is full: the broker rejects events for it until the relay parks them, which takes two minutes.
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "set_policy", "full", "^"+strings.ReplaceAll(queue, ".", "[.]")+"$",
		`{"max-length": 10}`, "--apply-to", "queues")
	waiting = append(waiting, stack.place(t, newOrder(sku, 1)))
	restore := o.falsifyStock(t, sku)
	o.createDeadLetter(t)
	o.leaveOrphanQueue(t)
	restore()
	o.stopReconciliation(t)
	o.await(t, "EventsParked payment")

	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "clear_policy", "full")
	o.sql(t, "payment", "update outbox set blocked_until = null, parked_at = null, rejections = 0 where parked_at is not null")
	outage.remove(t)
	for _, id := range waiting {
		stack.await(t, id, "completed")
	}
	o.awaitCalm(t)
}

// placeAll places n orders with eight concurrent customers.
func placeAll(t *testing.T, sku string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := i; j < n; j += 8 {
				ids[j] = stack.place(t, newOrder(sku, 1))
			}
		})
	}
	all.Wait()
	return ids
}

// createDeadLetter publishes a message that is no event. It replays it as the runbook describes, which makes it a dead letter
// again, and then drops it.
func (o *observers) createDeadLetter(t *testing.T) {
	t.Helper()
	const queue = "inventory.order-created"
	onBroker(t, func(ch *amqp.Channel) error {
		return ch.PublishWithContext(t.Context(), "", queue+".q", true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte("not an event"),
		})
	})
	o.await(t, "DeadLetters "+queue+".dlq")
	deadLettered := func() string {
		r := stack.must(t, http.StatusOK, http.MethodGet, stack.Inventory+"/metrics", nil)
		return regexp.MustCompile(`events_dead_lettered_total{.*handler="order-created".*reason="undecodable".*`).FindString(string(r.body))
	}
	before := deadLettered()
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "set_parameter", "shovel", "replay", fmt.Sprintf(`{
		"src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": "%[1]s.dlq", "src-delete-after": "queue-length",
		"dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-queue": "%[1]s.q", "ack-mode": "on-confirm"}`, queue))
	stack.eventually(t, "the message is dead-lettered again", func() bool { return deadLettered() != before })
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "purge_queue", queue+".dlq")
	o.awaitEnd(t, "DeadLetters "+queue+".dlq")
}

// leaveOrphanQueue declares the queue of a handler that no service has.
func (o *observers) leaveOrphanQueue(t *testing.T) {
	t.Helper()
	const queue = "shipping.old-handler.q"
	onBroker(t, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
		return err
	})
	o.await(t, "ConsumerMissing shipping "+queue)
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "delete_queue", queue)
	o.awaitEnd(t, "ConsumerMissing shipping "+queue)
}

// falsifyStock adds one to the received quantity of a product. restore waits until the reconciliation finds that, and undoes
// it.
func (o *observers) falsifyStock(t *testing.T, sku string) (restore func()) {
	t.Helper()
	add := func(more int) {
		o.sql(t, "inventory", fmt.Sprintf("update products set received = received + %d where sku = '%s'", more, sku))
	}
	add(1)
	return func() {
		t.Helper()
		o.await(t, "ReconciliationMismatch stock")
		add(-1)
		o.awaitEnd(t, "ReconciliationMismatch stock")
	}
}

func (o *observers) stopReconciliation(t *testing.T) {
	t.Helper()
	o.compose(t, "stop", "reconcile")
	o.await(t, "ReconciliationIncomplete")
	o.compose(t, "up", "--detach", "--no-build", "--no-deps", "--wait", "reconcile")
	o.awaitEnd(t, "ReconciliationIncomplete")
}

func (o *observers) stopBroker(t *testing.T) {
	o.expect(t, "OutboxStale")
	sku := stack.addProduct(t, "baton", 1)
	o.compose(t, "stop", "rabbitmq")
	id := stack.place(t, newOrder(sku, 1))
	o.await(t, "OutboxStale order")
	o.compose(t, "start", "rabbitmq")
	stack.await(t, id, "completed")
	o.awaitCalm(t)
}

func (o *observers) stopDatabase(t *testing.T) {
	o.expect(t, "DatabaseUnavailable")
	o.compose(t, "stop", "postgres")
	for _, service := range serviceNames {
		o.await(t, "DatabaseUnavailable "+service)
	}
	o.compose(t, "start", "postgres")
	if err := stack.awaitReady(context.Background()); err != nil {
		t.Error(err)
	}
	o.awaitCalm(t)
}

// checkDashboards wants data in every panel, after the other steps and a handler that is retried.
func (o *observers) checkDashboards(t *testing.T) {
	sku := stack.addProduct(t, "mirror", 1)
	charge := stack.inject(t, stack.Processor, newFault("confirm", "pause", "before", 0))
	retried := stack.place(t, newOrder(sku, 1))
	stack.eventually(t, "a charge is retried", func() bool {
		return len(o.query(t, `events_retried_total{handler="payment-charge-requested"} > 0`)) > 0
	})
	charge.remove(t)
	stack.await(t, retried, "completed")
	// That was the last unit. A rate needs two cancellations: one before the first sample, and one after it.
	stack.await(t, stack.place(t, newOrder(sku, 1)), "cancelled")
	stack.eventually(t, "the metrics have the cancellation", func() bool {
		return len(o.query(t, `orders_duration_seconds_count{outcome="cancelled"}`)) > 0
	})
	stack.await(t, stack.place(t, newOrder(sku, 1)), "cancelled")

	panels := o.panels(t)
	stack.eventually(t, "every panel has data", func() bool {
		panels = slices.DeleteFunc(panels, func(expr string) bool { return o.hasData(t, expr) })
		return len(panels) == 0
	}, func() string { return strings.Join(panels, "\n") })
}

// panels returns the queries of all panels, with values for Grafana's variables.
func (o *observers) panels(t *testing.T) (exprs []string) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no dashboards:", err)
	}
	fill := strings.NewReplacer("$__rate_interval", "20s", "$__range", "5m", "$service", ".*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct {
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		for _, p := range dashboard.Panels {
			for _, target := range p.Targets {
				exprs = append(exprs, fill.Replace(target.Expr))
			}
		}
	}
	return exprs
}

// sql runs a statement in a service's database.
func (o *observers) sql(t *testing.T, service, statement string) {
	t.Helper()
	o.compose(t, "exec", "-T", "postgres", "psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", service, "-c", statement)
}

// onBroker opens a channel as the user who may declare queues.
func onBroker(t *testing.T, do func(ch *amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(stack.Servers.Broker["topology"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = do(ch)
	}
	if err != nil {
		t.Fatal(err)
	}
}
