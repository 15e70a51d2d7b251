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
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

func ignore(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }

type vague struct{ orderCreated }

func (vague) Audience() events.Audience { return "some" }

type shouting struct{ orderCreated }

func (shouting) Publisher() string { return "ORDER" }

func TestNew_ReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	mistakes := []struct {
		change func(*events.Config)
		subs   []events.Subscription
		want   string
	}{
		{func(c *events.Config) { c.Service = "No Name" }, nil, `Service "No Name"`},
		{func(c *events.Config) { c.RetryLadder = []time.Duration{2 * time.Second, time.Second, 0} }, nil, "RetryLadder[1] is 1s: shorter"},
		{nil, nil, "RetryLadder[2] is 0s"},
		{func(c *events.Config) { c.HandlerTimeout = -1 }, nil, "HandlerTimeout is negative"},
		{func(c *events.Config) { c.PauseLimit = -1 }, nil, "PauseLimit is negative"},
		{func(c *events.Config) { c.ShutdownTimeout = -1 }, nil, "ShutdownTimeout is negative"},
		{func(c *events.Config) { c.PollInterval = -1 }, nil, "PollInterval is negative"},
		{func(c *events.Config) { c.PublishTimeout = -1 }, nil, "PublishTimeout is negative"},
		{func(c *events.Config) { c.LeaseTTL = -1 }, nil, "LeaseTTL is negative"},
		{func(c *events.Config) { c.CleanupInterval = -1 }, nil, "CleanupInterval is negative"},
		{func(c *events.Config) { c.Workers = -1 }, nil, "Workers is negative"},
		{func(c *events.Config) { c.BatchSize = -1 }, nil, "BatchSize is negative"},
		{func(c *events.Config) { c.RefusalLimit = -1 }, nil, "RefusalLimit is negative"},
		{func(c *events.Config) { c.InboxRetention, c.ReplayWindow = time.Hour, time.Hour }, nil, "could be applied twice"},
		{nil, []events.Subscription{events.On("Bad Name", ignore)}, `reaction "Bad Name" of order.created.v1`},
		{nil, []events.Subscription{events.On("twice", ignore), events.On("twice", ignore)}, `reaction "twice" is bound twice`},
		{nil, []events.Subscription{events.On[orderCreated]("no-handler", nil)}, `reaction "no-handler": no handler`},
		{nil, []events.Subscription{events.OnVia[orderCreated, int]("no-via", nil, nil)}, `reaction "no-via": no handler`},
		{nil, []events.Subscription{{}}, "make subscriptions with On or OnVia"},
		{nil, []events.Subscription{events.On("busy", ignore, events.Workers(-1))}, `reaction "busy": Workers`},
		{nil, []events.Subscription{events.On("nameless", func(context.Context, *gorm.DB, events.Received[nameless]) error { return nil })}, `event type "created" is not`},
		{nil, []events.Subscription{events.On("vague", func(context.Context, *gorm.DB, events.Received[vague]) error { return nil })}, `audience "some"`},
		{nil, []events.Subscription{events.On("shouting", func(context.Context, *gorm.DB, events.Received[shouting]) error { return nil })}, `publisher "ORDER"`},
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
	_, topologyErr := events.TopologyOf(cfg, subs...)
	if topologyErr == nil {
		t.Fatal("TopologyOf accepted what New does not")
	}
	for _, m := range mistakes {
		if !strings.Contains(err.Error(), m.want) {
			t.Errorf("New does not report: %s", m.want)
		}
		if !strings.Contains(topologyErr.Error(), m.want) {
			t.Errorf("TopologyOf does not report: %s", m.want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestNew_AcceptsTheDefaults(t *testing.T) {
	t.Parallel()
	newBus(t, open(t, testservers.Database(t)), eventstest.NewTransport(), events.Config{Service: "order"}, events.On("order-created", ignore))
}

func TestNew_RefusesAHandleThatHasABus(t *testing.T) {
	t.Parallel()
	db := open(t, testservers.Database(t))
	newBus(t, db, eventstest.NewTransport(), config())
	if _, err := events.New(db, eventstest.NewTransport(), config()); err == nil {
		t.Error("accepted")
	}
}

func TestTopologyOf_ListsWhatASubscriptionNeeds(t *testing.T) {
	t.Parallel()
	got, err := events.TopologyOf(events.Config{Service: "inventory", RetryLadder: []time.Duration{time.Second}}, events.On("order-created", ignore))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Queues) != 1 {
		t.Fatalf("%+v", got)
	}
	q := got.Queues[0]
	if q.String() != "inventory.order-created" || q.Name() != "order.created" || q.Publisher != "order" || len(q.Ladder) != 1 {
		t.Errorf("%+v", q)
	}
}

// incomplete lacks its topology until it is told otherwise.
type incomplete struct {
	*eventstest.Transport
	complete chan struct{}
}

func (tr incomplete) Check(context.Context, events.Topology) error {
	select {
	case <-tr.complete:
		return nil
	default:
		return events.ErrTopology
	}
}

func TestBus_ConsumesOnceTheTopologyIsComplete(t *testing.T) {
	t.Parallel()
	db, tr := database(t), incomplete{eventstest.NewTransport(), make(chan struct{})}
	bus := newBus(t, db, tr, config(), events.On("order-created", ignore))
	eventstest.Start(t, bus)
	publish(t, db, orderCreated{OrderID: "o"})
	tr.WaitFor(t, "order.created.v1", "o") // the relay does not wait for it
	if err := bus.Ready(t.Context()); err == nil {
		t.Error("ready without a topology")
	}
	close(tr.complete)
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != events.Done {
		t.Errorf("verdict %+v", v)
	}
	eventually(t, "ready", func() bool { return bus.Ready(t.Context()) == nil })
}

func TestBus_IsNotReadyWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	tr.Outcome(func(events.Message) error { return errLost })
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
	bus := newBus(t, database(t), tr, config(), events.On("order-created", ignore))
	if err := bus.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("got %v", err)
	}
}

type givesUp struct{ *eventstest.Transport }

func (givesUp) Consume(context.Context, []events.Consumer) error { return errors.New("no more") }
