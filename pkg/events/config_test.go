package events_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/utils/tests"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

var declared = []events.Declaration{
	{ETO: orderCreated{}, Publisher: "order", Mandatory: true},
	{ETO: orderCreatedV2{}, Publisher: "order"},
}

// orderCreated is an event of the service order.
type orderCreated struct {
	OrderID string `json:"orderId"`
	Number  int    `json:"number"`
}

func (orderCreated) EventType() string { return "order.created.v1" }
func (e orderCreated) Subject() string { return e.OrderID }

type orderCreatedV2 struct{ orderCreated }

func (orderCreatedV2) EventType() string { return "order.created.v2" }

type foreign struct{ orderCreated }

func (foreign) EventType() string { return "inventory.reserved.v1" }

type nameless struct{ orderCreated }

func (nameless) EventType() string { return "created" }

type undeclared struct{ orderCreated }

func (undeclared) EventType() string { return "order.undeclared.v1" }

func ignore(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }

func TestNew_ReportsEveryMistake(t *testing.T) {
	t.Parallel()
	mistakes := []struct {
		change func(*events.Config)
		subs   []events.Subscription
		want   string
	}{
		{func(c *events.Config) { c.Service = "No Name" }, nil, `Service "No Name"`},
		{func(c *events.Config) { c.RetryDelays = []time.Duration{2 * time.Second, time.Second, 0} }, nil, "RetryDelays[1] is 1s: shorter"},
		{nil, nil, "RetryDelays[2] is 0s"},
		{func(c *events.Config) { c.Handlers.Timeout = -1 }, nil, "Handlers.Timeout is negative"},
		{func(c *events.Config) { c.Handlers.PauseLimit = -1 }, nil, "Handlers.PauseLimit is negative"},
		{func(c *events.Config) { c.ShutdownTimeout = -1 }, nil, "ShutdownTimeout is negative"},
		{func(c *events.Config) { c.Relay.PollInterval = -1 }, nil, "Relay.PollInterval is negative"},
		{func(c *events.Config) { c.Relay.PublishTimeout = -1 }, nil, "Relay.PublishTimeout is negative"},
		{func(c *events.Config) { c.Relay.LeaseTTL = -1 }, nil, "Relay.LeaseTTL is negative"},
		{func(c *events.Config) { c.Inbox.CleanupInterval = -1 }, nil, "Inbox.CleanupInterval is negative"},
		{func(c *events.Config) { c.Handlers.Workers = -1 }, nil, "Handlers.Workers is negative"},
		{func(c *events.Config) { c.Relay.BatchSize = -1 }, nil, "Relay.BatchSize is negative"},
		{func(c *events.Config) { c.Relay.MaxPublishAttempts = -1 }, nil, "Relay.MaxPublishAttempts is negative"},
		{func(c *events.Config) { c.Inbox.Retention, c.Inbox.ReplayWindow = time.Hour, time.Hour }, nil, "could be applied twice"},
		{nil, []events.Subscription{events.Handle("Bad Name", ignore)}, `handler "Bad Name" of order.created.v1`},
		{nil, []events.Subscription{events.Handle("twice", ignore), events.Handle("twice", ignore)}, `handler "twice" is bound twice`},
		{nil, []events.Subscription{events.Handle[orderCreated]("no-handler", nil)}, `handler "no-handler": no handler`},
		{nil, []events.Subscription{events.HandleExternal[orderCreated, int]("no-via", nil, nil)}, `handler "no-via": no handler`},
		{nil, []events.Subscription{{}}, "make subscriptions with Handle or HandleExternal"},
		{nil, []events.Subscription{events.Handle("busy", ignore, events.WithWorkers(-1))}, `handler "busy": Workers`},
		{nil, []events.Subscription{events.Handle("undeclared", func(context.Context, *gorm.DB, events.Received[undeclared]) error { return nil })}, `"order.undeclared.v1" is not declared`},
		{func(c *events.Config) {
			c.Events = append(slices.Clone(declared), events.Declaration{ETO: foreign{}, Publisher: "ORDER"})
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

func TestNewTopology(t *testing.T) {
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

func TestNewTopology_RejectsTwoVersions(t *testing.T) {
	t.Parallel()
	_, err := events.NewTopology(events.Config{Service: "order", Events: declared},
		events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }),
		events.Handle("created-two", func(context.Context, *gorm.DB, events.Received[orderCreatedV2]) error { return nil }))
	if err == nil || !strings.Contains(err.Error(), "order.created.v2") {
		t.Errorf("error is %v", err)
	}
}

func TestNew_RejectsUnknownDatabase(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(tests.DummyDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"New": func() error {
			_, err := events.New(db, eventstest.NewTransport(), events.Config{Service: "order"})
			return err
		}(),
		"Migrate": events.Migrate(t.Context(), db),
	} {
		if err == nil || !strings.Contains(err.Error(), `database is "dummy"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrors_WrappedNilIsNil(t *testing.T) {
	t.Parallel()
	for _, err := range []error{events.Permanent(nil), events.RetryAfter(time.Second, nil), events.Unavailable(nil)} {
		if err != nil {
			t.Errorf("%T", err)
		}
	}
}
