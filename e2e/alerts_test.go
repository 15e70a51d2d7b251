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

// Every alert is made to fire by what it is there for, with nothing beside it but what its runbook names, and ends when
// that is mended as the runbook says. Prometheus belongs to the compose file, so it is only there that this can be told.
//
// First everything is as it is shipped. Then some alerts get a shorter patience, in a copy of the rules, and the order
// service a shorter one as well.
func TestAlerts_FireWhenCausedAndEndWhenMended(t *testing.T) {
	if os.Getenv("QUADRILLE_E2E") != "compose" {
		return
	}
	o := observe(t)
	o.awaitCalm(t)

	step := func(what string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(what, f) {
			t.FailNow() // what is still broken would be seen in the next one too
		}
	}
	step("a service is stopped for a minute", o.stopInventory)
	o.hurry(t, map[string][2]string{
		"OutboxStale":              {"> 30", "> 10"},
		"DatabaseUnavailable":      {"for: 30s", "for: 10s"},
		"ConsumerMissing":          {"for: 1m", "for: 20s"},
		"ConsumerLag":              {"for: 2m", "for: 10s"},
		"ReconciliationMismatch":   {"for: 1m", "for: 20s"},
		"ReconciliationIncomplete": {"for: 5m", "for: 10s"},
	})
	step("the card processor is away", o.loseProcessor)
	step("the broker is stopped", o.stopBroker)
	step("the database is stopped", o.stopDatabase)
	step("every panel of the dashboards has shown something", o.drawDashboards)
	if report, err := shop.ledger(); err != nil {
		t.Errorf("the ledger is off: %v\n%s", err, report)
	}
}

// stopInventory: what fires is exactly what the runbook of ServiceDown names.
func (o *observers) stopInventory(t *testing.T) {
	want := []string{"ServiceDown inventory"}
	o.expected["ServiceDown"] = true
	for _, c := range companions(t, "ServiceDown") {
		if c.after <= time.Minute && (c.of == "any" || c.of == "inventory") {
			want = append(want, c.alert)
		}
	}
	sku := shop.stock(t, "metronome", 1)
	o.compose(t, "stop", "inventory")
	minute := time.After(time.Minute)
	waits := shop.place(t, orderOf(sku, 1))
	o.await(t, "ServiceDown inventory")
	var seen []string
	for over := false; !over; {
		select {
		case <-minute:
			over = true
		case <-time.After(200 * time.Millisecond):
		}
		seen = append(seen, o.firing(t)...)
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); !slices.Equal(seen, want) {
		t.Errorf("within the minute %q fired, the runbook says %q", seen, want)
	}
	o.compose(t, "start", "inventory")
	shop.await(t, waits, "completed")
	o.awaitCalm(t)
}

// loseProcessor has orders wait for their payment, and while they wait, causes what has nothing to do with it.
func (o *observers) loseProcessor(t *testing.T) {
	for _, name := range []string{"ConsumerLag", "OrdersStalled", "EventsParked", "DeadLetters", "ConsumerMissing", "ReconciliationMismatch", "ReconciliationIncomplete"} {
		o.cause(t, name)
	}
	impatient(t, "ORDER_STALLED_AFTER=10s")
	sku := shop.stock(t, "tutu", 200)
	away := shop.misbehave(t, shop.Processor, fault("", "unavailable", "", 0))
	waiting := placeAll(t, sku, 160)
	o.await(t, "OrdersStalled payment")
	const queue = "payment.payment-charge-requested.q"
	o.await(t, "ConsumerLag "+queue)

	// The queue takes no more: what payment has to say to it is refused, again and again, which takes two minutes.
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "set_policy", "full", "^"+strings.ReplaceAll(queue, ".", "[.]")+"$",
		`{"max-length": 10}`, "--apply-to", "queues")
	waiting = append(waiting, shop.place(t, orderOf(sku, 1)))
	mend := o.tamper(t, sku)
	o.killLetter(t)
	o.leaveQueue(t)
	mend()
	o.stopLedger(t)
	o.await(t, "EventsParked payment")

	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "clear_policy", "full")
	o.sql(t, "payment", "update outbox set held_until = null, parked_at = null, refusals = 0 where parked_at is not null")
	away.mend(t)
	for _, id := range waiting {
		shop.await(t, id, "completed")
	}
	o.awaitCalm(t)
}

func placeAll(t *testing.T, sku string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := i; j < n; j += 8 {
				ids[j] = shop.place(t, orderOf(sku, 1))
			}
		})
	}
	all.Wait()
	return ids
}

// killLetter publishes what is no event. It is replayed as its runbook says, which makes it a dead letter again, and then
// dropped.
func (o *observers) killLetter(t *testing.T) {
	t.Helper()
	const queue = "inventory.order-created"
	onBroker(t, func(ch *amqp.Channel) error {
		return ch.PublishWithContext(t.Context(), "", queue+".q", true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte("this is no event"),
		})
	})
	o.await(t, "DeadLetters "+queue+".dlq")
	dead := func() string {
		a := shop.must(t, http.StatusOK, http.MethodGet, shop.Inventory+"/metrics", nil)
		return regexp.MustCompile(`events_dead_lettered_total{.*reaction="order-created".*reason="undecodable".*`).FindString(string(a.body))
	}
	once := dead()
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "set_parameter", "shovel", "replay", fmt.Sprintf(`{
		"src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": "%[1]s.dlq", "src-delete-after": "queue-length",
		"dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-queue": "%[1]s.q", "ack-mode": "on-confirm"}`, queue))
	shop.eventually(t, "the letter comes back and dies again", func() bool { return dead() != once })
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "purge_queue", queue+".dlq")
	o.awaitEnd(t, "DeadLetters "+queue+".dlq")
}

// leaveQueue declares the queue of a reaction that no service has.
func (o *observers) leaveQueue(t *testing.T) {
	t.Helper()
	const queue = "shipping.old-reaction.q"
	onBroker(t, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
		return err
	})
	o.await(t, "ConsumerMissing shipping "+queue)
	o.compose(t, "exec", "-T", "rabbitmq", "rabbitmqctl", "delete_queue", queue)
	o.awaitEnd(t, "ConsumerMissing shipping "+queue)
}

// tamper writes down more than was supplied. What it answers waits until that is known, and undoes it.
func (o *observers) tamper(t *testing.T, sku string) (mend func()) {
	t.Helper()
	supply := func(more int) {
		o.sql(t, "inventory", fmt.Sprintf("update products set received = received + %d where sku = '%s'", more, sku))
	}
	supply(1)
	return func() {
		t.Helper()
		o.await(t, "ReconciliationMismatch stock")
		supply(-1)
		o.awaitEnd(t, "ReconciliationMismatch stock")
	}
}

func (o *observers) stopLedger(t *testing.T) {
	t.Helper()
	o.compose(t, "stop", "ledger")
	o.await(t, "ReconciliationIncomplete")
	o.compose(t, "up", "--detach", "--no-build", "--no-deps", "--wait", "ledger")
	o.awaitEnd(t, "ReconciliationIncomplete")
}

func (o *observers) stopBroker(t *testing.T) {
	o.cause(t, "OutboxStale")
	sku := shop.stock(t, "baton", 1)
	o.compose(t, "stop", "rabbitmq")
	waits := shop.place(t, orderOf(sku, 1))
	o.await(t, "OutboxStale order")
	o.compose(t, "start", "rabbitmq")
	shop.await(t, waits, "completed")
	o.awaitCalm(t)
}

func (o *observers) stopDatabase(t *testing.T) {
	o.cause(t, "DatabaseUnavailable")
	o.compose(t, "stop", "postgres")
	for _, service := range []string{"order", "inventory", "payment", "shipping"} {
		o.await(t, "DatabaseUnavailable "+service)
	}
	o.compose(t, "start", "postgres")
	if err := shop.awaitReady(context.Background()); err != nil {
		t.Error(err)
	}
	o.awaitCalm(t)
}

// drawDashboards: after all this, and a failure that is retried, there is something to see in every panel.
func (o *observers) drawDashboards(t *testing.T) {
	sku := shop.stock(t, "mirror", 1)
	hangs := shop.misbehave(t, shop.Processor, fault("confirm", "pause", "before", 0))
	retried := shop.place(t, orderOf(sku, 1))
	shop.eventually(t, "a charge has taken too long", func() bool {
		return len(o.query(t, `events_retried_total{reaction="payment-charge-requested"} > 0`)) > 0
	})
	hangs.mend(t)
	shop.await(t, retried, "completed")
	// That was the last one. Of what has happened once, a rate knows nothing yet.
	shop.await(t, shop.place(t, orderOf(sku, 1)), "cancelled")
	shop.eventually(t, "the cancellation is known", func() bool {
		return len(o.query(t, `orders_duration_seconds_count{outcome="cancelled"}`)) > 0
	})
	shop.await(t, shop.place(t, orderOf(sku, 1)), "cancelled")

	panels := o.panels(t)
	shop.eventually(t, "every panel has something to draw", func() bool {
		panels = slices.DeleteFunc(panels, func(expr string) bool { return o.drawn(t, expr) })
		return len(panels) == 0
	}, func() string { return strings.Join(panels, "\n") })
}

// panels lists what all panels ask for, with Grafana's variables filled in.
func (o *observers) panels(t *testing.T) (exprs []string) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
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

// onBroker does something as the user who may declare queues.
func onBroker(t *testing.T, do func(ch *amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(shop.Servers.Broker["topology"])
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
