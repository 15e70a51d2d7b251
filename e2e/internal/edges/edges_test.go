package edges_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/e2e/internal/edges"
	"github.com/quadrille-dev/quadrille/e2e/internal/otlp"
)

// fixture is an artificial trace: an order is placed; inventory fails once and then reserves the stock, which no service
// consumes; payment calls the processor; shipping publishes a dispatch after a carrier webhook.
type fixture struct {
	spans map[string]*otlp.Span
	clock time.Time
}

func story() *fixture {
	m := &fixture{spans: map[string]*otlp.Span{}, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	m.request("post", "", "order", "POST", "/api/v1/orders")
	m.message("create", "post", "order", "order.created.v1", "e1", "")
	m.message("publish", "create", "order", "order.created.v1", "e1", "publish")
	m.message("first", "create", "order", "order.created.v1", "e1", "inventory.order-created.q")
	m.change("first", func(s *otlp.Span) { s.Failed = true })
	m.message("second", "create", "order", "order.created.v1", "e1", "inventory.order-created.q")
	m.link("second", "first", "retry")
	m.attribute("second", "events.attempt", "2")
	m.add("insert", "second", "inventory", "INSERT", otlp.Client, "db.system.name", "postgresql")
	m.message("reserved", "insert", "inventory", "inventory.reserved.v1", "e2", "")
	m.message("publish reserved", "reserved", "inventory", "inventory.reserved.v1", "e2", "publish")
	m.message("paid", "create", "order", "order.created.v1", "e1", "payment.order-created.q")
	m.add("call", "paid", "payment", "POST", otlp.Client, "http.request.method", "POST",
		"url.full", "http://127.0.0.1:8091/v1/payment_intents/pi_3AbcDefGh/confirm?expand=x")
	m.message("deadline", "post", "order", "order.payment_deadline_passed.v1", "e3", "")
	// A request in another trace. What it causes belongs to the trace of the order.
	m.request("webhook", "", "shipping", "POST", "/webhooks/carrier")
	m.change("webhook", func(s *otlp.Span) { s.Trace = "t2" })
	m.message("process", "create", "order", "order.created.v1", "e1", "shipping.order-created.q")
	m.add("report", "process", "shipping", "carrier webhook", otlp.Internal)
	m.link("report", "webhook", "request")
	m.message("dispatched", "report", "shipping", "shipment.dispatched.v1", "e4", "")
	m.message("publish dispatched", "dispatched", "shipping", "shipment.dispatched.v1", "e4", "publish")
	m.message("ships", "dispatched", "shipping", "shipment.dispatched.v1", "e4", "order.shipment-dispatched.q")
	return m
}

func (m *fixture) add(id, parent, service, name string, kind otlp.Kind, attributes ...string) {
	m.clock = m.clock.Add(time.Millisecond)
	s := otlp.Span{Trace: "t1", ID: id, Parent: parent, Service: service, Name: name, Kind: kind, Start: m.clock, End: m.clock}
	m.spans[id] = s.With(attributes...)
}

func (m *fixture) request(id, parent, service, method, route string) {
	m.add(id, parent, service, method+" "+route, otlp.Server, "http.request.method", method, "http.route", route)
}

// message adds a create span, a publish span if to is "publish", or else the process span of a queue.
func (m *fixture) message(id, parent, from, event, message, to string) {
	exchange := from + ".events:" + event
	attributes := []string{
		"messaging.system", "rabbitmq", "messaging.destination.name", exchange, "messaging.message.id", message,
		"messaging.message.conversation_id", "c", "cloudevents.event_type", event, "cloudevents.event_subject", "o-1",
		"cloudevents.event_source", "/quadrille/" + from,
	}
	with := func(operation, kind string) []string {
		return append(attributes, "messaging.operation.name", operation, "messaging.operation.type", kind)
	}
	switch to {
	case "":
		m.add(id, parent, from, "create "+exchange, otlp.Producer, with("create", "create")...)
	case "publish":
		m.add(id, parent, from, "publish "+exchange, otlp.Client, with("publish", "send")...)
	default:
		attributes[3] = exchange + ":" + to
		service, _, _ := strings.Cut(to, ".")
		m.add(id, parent, service, "process "+attributes[3], otlp.Consumer, with("process", "process")...)
	}
}

func (m *fixture) change(id string, f func(*otlp.Span)) {
	changed := *m.spans[id]
	f(&changed)
	m.spans[id] = &changed
}

func (m *fixture) link(from, to, reason string) {
	m.change(from, func(s *otlp.Span) {
		s.Links = append(s.Links, otlp.Link{Trace: m.spans[to].Trace, ID: to, Reason: reason})
	})
}

// attribute sets one attribute.
func (m *fixture) attribute(id, key, value string) {
	m.spans[id] = m.spans[id].With(key, value)
}

func (m *fixture) find(l otlp.Link) *otlp.Span {
	if s := m.spans[l.ID]; s != nil && s.Trace == l.Trace {
		return s
	}
	return nil
}

// trace returns the spans of the order.
func (m *fixture) trace() (spans []*otlp.Span) {
	for id, s := range m.spans {
		if id != "webhook" {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b *otlp.Span) int { return a.Start.Compare(b.Start) })
	return spans
}

func TestRead_FindsEdges(t *testing.T) {
	t.Parallel()
	m := story()
	got := edges.Read(m.trace(), m.find)
	want := edges.Reading{Edges: []string{
		"carrier -- POST /webhooks/carrier --> shipping",
		"customer -- POST /api/v1/orders --> order",
		"inventory -- inventory.reserved.v1 --> none",
		"order -- order.created.v1 --> inventory (inventory.order-created.q)",
		"order -- order.created.v1 --> payment (payment.order-created.q)",
		"order -- order.created.v1 --> shipping (shipping.order-created.q)",
		"order -- order.payment_deadline_passed.v1 --> later",
		"payment -- POST /v1/payment_intents/{id}/confirm --> processor",
		"shipping -- shipment.dispatched.v1 --> order (order.shipment-dispatched.q)",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// The embedded stack: all services in one process.
	for id := range m.spans {
		m.change(id, func(s *otlp.Span) { s.Service = "quadrille" })
	}
	if diff := cmp.Diff(want, edges.Read(m.trace(), m.find)); diff != "" {
		t.Errorf("embedded stack (-want +got)\n%s", diff)
	}
}

func TestRead_FindsFlaws(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(m *fixture)
		flaw  string
	}{
		"two traces":     {func(m *fixture) { m.change("paid", func(s *otlp.Span) { s.Trace = "t9" }) }, "begins another trace with 1 spans"},
		"a second root":  {func(m *fixture) { m.change("paid", func(s *otlp.Span) { s.Parent = "" }) }, "is a second root"},
		"a lost parent":  {func(m *fixture) { delete(m.spans, "insert") }, "its parent is missing"},
		"a retry alone":  {func(m *fixture) { m.change("second", func(s *otlp.Span) { s.Links = nil }) }, "does not link to the previous attempt"},
		"a lost publish": {func(m *fixture) { m.change("publish", func(s *otlp.Span) { s.Parent = "post" }) }, "is not a child of the span that creates the event"},
		"a crossed publish": {
			func(m *fixture) { m.change("publish", func(s *otlp.Span) { s.Parent = "reserved" }) }, "is not a child of the span that creates the event",
		},
		"a chained process": {
			func(m *fixture) { m.change("paid", func(s *otlp.Span) { s.Parent = "publish" }) }, "is not a child of the span that creates the event",
		},
		"no cause":       {func(m *fixture) { m.change("reserved", func(s *otlp.Span) { s.Parent = "call" }) }, "is caused by"},
		"a wrong cause":  {func(m *fixture) { m.change("dispatched", func(s *otlp.Span) { s.Parent = "create" }) }, "cannot create an event"},
		"the wrong kind": {func(m *fixture) { m.change("paid", func(s *otlp.Span) { s.Kind = otlp.Internal }) }, "has the kind internal"},
		"another name":   {func(m *fixture) { m.change("paid", func(s *otlp.Span) { s.Service = "order" }) }, "has the attributes of a span of payment"},
		"no correlation": {func(m *fixture) { m.attribute("paid", "messaging.message.conversation_id", "") }, "lacks messaging.message.conversation_id"},
		"no parent":      {func(m *fixture) { m.message("reserved", "", "inventory", "inventory.reserved.v1", "e2", "") }, "has no cause"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := story()
			c.spoil(m)
			if got := edges.Read(m.trace(), m.find).Flaws; !strings.Contains(strings.Join(got, "\n"), c.flaw) {
				t.Errorf("flaws %q lack %q", got, c.flaw)
			}
		})
	}
}

const table = `
# comment
== placed ==
customer -- POST /api/v1/orders  --> order
order    -- order.created.v1     --> inventory (inventory.order-created.q)  # first
? order  -- order.confirmed.v1   --> none
`

func TestStory_Diff(t *testing.T) {
	t.Parallel()
	parsed, err := edges.ParseTable(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	const (
		post      = "customer -- POST /api/v1/orders --> order"
		created   = "order -- order.created.v1 --> inventory (inventory.order-created.q)"
		confirmed = "order -- order.confirmed.v1 --> none"
		other     = "order -- order.created.v1 --> payment (payment.order-created.q)"
	)
	for _, c := range []struct {
		got  []string
		want string
	}{
		{[]string{post, created}, ""},
		{[]string{post, created, confirmed}, ""},
		{[]string{post}, "missing     " + created + "\n"},
		{[]string{post, created, other}, "unexpected  " + other + "\n"},
		{[]string{other, created}, "missing     " + post + "\nunexpected  " + other + "\n"},
	} {
		if diff := cmp.Diff(c.want, parsed["placed"].Diff(c.got)); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c.got, diff)
		}
	}
	if diff := cmp.Diff([]string{"inventory.order-created.q"}, parsed.Queues()); diff != "" {
		t.Errorf("queues (-want +got)\n%s", diff)
	}
}

func TestParseTable_RejectsInvalidTables(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"order -- order.created.v1 --> inventory":                        "before the first story",
		"== a ==\norder -> inventory":                                    "not an edge",
		"== a ==\n== a ==":                                               "duplicate story",
		"== a ==\na -- b.v1 --> c\n\n? a -- b.v1 --> c":                  "line 4: duplicate edge",
		"== a ==\norder -- order.created.v1 --> inventory (no queue it)": "not an edge",
	} {
		if _, err := edges.ParseTable(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	m := story()
	want := `order      POST /api/v1/orders
order        create order.events:order.created.v1
order          publish order.events:order.created.v1
inventory      process order.events:order.created.v1:inventory.order-created.q ✗
inventory      process order.events:order.created.v1:inventory.order-created.q ← retry
inventory        create inventory.events:inventory.reserved.v1
inventory          publish inventory.events:inventory.reserved.v1
payment        process order.events:order.created.v1:payment.order-created.q
payment          POST /v1/payment_intents/{id}/confirm
shipping       process order.events:order.created.v1:shipping.order-created.q
shipping         carrier webhook ← request POST /webhooks/carrier
shipping           create shipping.events:shipment.dispatched.v1
shipping             publish shipping.events:shipment.dispatched.v1
order                process shipping.events:shipment.dispatched.v1:order.shipment-dispatched.q
order        create order.events:order.payment_deadline_passed.v1
`
	if diff := cmp.Diff(want, edges.Tree(m.trace(), m.find)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
