package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func ignore(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }

type undeclared struct{ orderCreated }

func (undeclared) EventType() string { return "order.undeclared.v1" }

func TestNew_ReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	mistakes := []struct {
		change func(*events.Config)
		subs   []events.Subscription
		want   string
	}{
		{func(c *events.Config) { c.Service = "No Name" }, nil, `Service "No Name"`},
		{func(c *events.Config) { c.RetryDelays = []time.Duration{2 * time.Second, time.Second, 0} }, nil, "RetryDelays[1] is 1s: shorter"},
		{nil, nil, "RetryDelays[2] is 0s"},
		{func(c *events.Config) { c.HandlerTimeout = -1 }, nil, "HandlerTimeout is negative"},
		{func(c *events.Config) { c.PauseLimit = -1 }, nil, "PauseLimit is negative"},
		{func(c *events.Config) { c.ShutdownTimeout = -1 }, nil, "ShutdownTimeout is negative"},
		{func(c *events.Config) { c.PollInterval = -1 }, nil, "PollInterval is negative"},
		{func(c *events.Config) { c.PublishTimeout = -1 }, nil, "PublishTimeout is negative"},
		{func(c *events.Config) { c.LeaseTTL = -1 }, nil, "LeaseTTL is negative"},
		{func(c *events.Config) { c.CleanupInterval = -1 }, nil, "CleanupInterval is negative"},
		{func(c *events.Config) { c.Workers = -1 }, nil, "Workers is negative"},
		{func(c *events.Config) { c.BatchSize = -1 }, nil, "BatchSize is negative"},
		{func(c *events.Config) { c.MaxPublishAttempts = -1 }, nil, "MaxPublishAttempts is negative"},
		{func(c *events.Config) { c.InboxRetention, c.ReplayWindow = time.Hour, time.Hour }, nil, "could be applied twice"},
		{nil, []events.Subscription{events.Handle("Bad Name", ignore)}, `handler "Bad Name" of order.created.v1`},
		{nil, []events.Subscription{events.Handle("twice", ignore), events.Handle("twice", ignore)}, `handler "twice" is bound twice`},
		{nil, []events.Subscription{events.Handle[orderCreated]("no-handler", nil)}, `handler "no-handler": no handler`},
		{nil, []events.Subscription{events.HandleExternal[orderCreated, int]("no-via", nil, nil)}, `handler "no-via": no handler`},
		{nil, []events.Subscription{{}}, "make subscriptions with Handle or HandleExternal"},
		{nil, []events.Subscription{events.Handle("busy", ignore, events.WithWorkers(-1))}, `handler "busy": Workers`},
		{nil, []events.Subscription{events.Handle("undeclared", func(context.Context, *gorm.DB, events.Received[undeclared]) error { return nil })}, `"order.undeclared.v1" is not declared`},
		{func(c *events.Config) {
			c.Events = append(declared, events.Declaration{ETO: foreign{}, Publisher: "ORDER"})
		}, nil, `publisher "ORDER"`},
		{func(c *events.Config) {
			c.Events = append(c.Events, events.Declaration{ETO: nameless{}, Publisher: "order"})
		}, nil, `event type "created" is not`},
		{func(c *events.Config) { c.Events = append(c.Events, declared[0]) }, nil, `"order.created.v1" is declared twice`},
	}
	var cfg events.Config
	var subs []events.Subscription
	for _, m := range mistakes {
		if m.change != nil {
			m.change(&cfg)
		}
		subs = append(subs, m.subs...)
	}
	_, err := events.New(nil, nil, cfg, subs...)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"db is nil", "transport is nil"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s", want)
		}
	}
	_, topologyErr := events.NewTopology(cfg, subs...)
	if topologyErr == nil {
		t.Fatal("NewTopology accepted what New does not")
	}
	for _, m := range mistakes {
		if !strings.Contains(err.Error(), m.want) {
			t.Errorf("New does not report: %s", m.want)
		}
		if !strings.Contains(topologyErr.Error(), m.want) {
			t.Errorf("NewTopology does not report: %s", m.want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestNew_AcceptsTheDefaults(t *testing.T) {
	t.Parallel()
	newBus(t, open(t, testservers.Database(t)), eventstest.NewTransport(), events.Config{Service: "order", Events: declared}, events.Handle("order-created", ignore))
}

func TestNew_RefusesAHandleThatHasABus(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t))
	newBus(t, db, eventstest.NewTransport(), config())
	if _, err := events.New(db, eventstest.NewTransport(), config()); err == nil {
		t.Error("accepted")
	}
}

func TestNewTopology_ListsWhatASubscriptionNeeds(t *testing.T) {
	t.Parallel()
	got, err := events.NewTopology(events.Config{Service: "inventory", Events: declared, RetryDelays: []time.Duration{time.Second}}, events.Handle("order-created", ignore))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Queues) != 1 {
		t.Fatalf("%+v", got)
	}
	q := got.Queues[0]
	if q.String() != "inventory.order-created" || q.EventName() != "order.created" || q.Publisher != "order" || len(q.RetryDelays) != 1 {
		t.Errorf("%+v", q)
	}
}

// incomplete lacks its topology until it is told otherwise.
type incomplete struct {
	*eventstest.Transport
	complete chan struct{}
}

func (tr incomplete) Check(context.Context, transport.Topology) error {
	select {
	case <-tr.complete:
		return nil
	default:
		return transport.ErrTopology
	}
}

func TestBus_ConsumesOnceTheTopologyIsComplete(t *testing.T) {
	t.Parallel()
	db, tr := database(t), incomplete{eventstest.NewTransport(), make(chan struct{})}
	bus := newBus(t, db, tr, config(), events.Handle("order-created", ignore))
	eventstest.Start(t, bus)
	publish(t, db, orderCreated{OrderID: "o"})
	tr.WaitFor(t, "order.created.v1", "o") // the relay does not wait for it
	if err := bus.Ready(t.Context()); err == nil {
		t.Error("ready without a topology")
	}
	close(tr.complete)
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack {
		t.Errorf("verdict %+v", v)
	}
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestBus_IsNotReadyWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	tr.Outcome(func(transport.Message) error { return errLost })
	bus := newBus(t, db, tr, config())
	eventstest.Start(t, bus)
	publish(t, db, orderCreated{OrderID: "o"})
	eventually(t, "not ready", func() bool { return bus.Ready(t.Context()) != nil })
	tr.Outcome(nil)
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestBus_RunsOnce(t *testing.T) {
	t.Parallel()
	bus := newBus(t, database(t), eventstest.NewTransport(), config())
	stop := eventstest.Start(t, bus)
	stop()
	if err := bus.Run(t.Context()); err == nil {
		t.Error("a second Run was accepted")
	}
}

func TestBus_EndsWhenItsTransportGivesUp(t *testing.T) {
	t.Parallel()
	tr := givesUp{eventstest.NewTransport()}
	bus := newBus(t, database(t), tr, config(), events.Handle("order-created", ignore))
	if err := bus.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("got %v", err)
	}
}

type givesUp struct{ *eventstest.Transport }

func (givesUp) Consume(context.Context, []transport.Consumer) error { return errors.New("no more") }
