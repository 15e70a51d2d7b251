package events_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestPublish_RequiresTransaction(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := testservers.Database(t)
	db, other := open(t, url), open(t, url)
	early := db.Begin()
	defer early.Rollback()
	newBus(t, db, eventstest.NewTransport(), config())
	otherTx := other.Begin()
	defer otherTx.Rollback()

	for name, c := range map[string]struct {
		tx   *gorm.DB
		want error
	}{
		"plain handle":                {db, events.ErrNoTransaction},
		"session":                     {db.Session(&gorm.Session{NewDB: true}), events.ErrNoTransaction},
		"prepared session":            {db.Session(&gorm.Session{PrepareStmt: true}), events.ErrNoTransaction},
		"with context":                {db.WithContext(ctx), events.ErrNoTransaction},
		"transaction from before New": {early, events.ErrNoTransaction},
		"handle without a bus":        {other, events.ErrNoBus},
		"transaction without a bus":   {otherTx, events.ErrNoBus},
	} {
		if err := events.Publish(ctx, c.tx, orderCreated{OrderID: "o"}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

type foreign struct{ orderCreated }

func (foreign) EventType() string { return "inventory.reserved.v1" }

type nameless struct{ orderCreated }

func (nameless) EventType() string { return "created" }

func TestPublish_RejectsInvalidEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		newBus(t, db, eventstest.NewTransport(), config())
		for name, eto := range map[string]events.ETO{
			"another service's event": foreign{orderCreated{OrderID: "o"}},
			"no subject":              orderCreated{},
			"not an event type":       nameless{orderCreated{OrderID: "o"}},
		} {
			err := db.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, eto) })
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if n := scan[int](t, db, "select count(*) from outbox"); n != 0 {
			t.Errorf("%d rows in the outbox", n)
		}
	})
}

func TestPublish_FillsEnvelope(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		cfg := config()
		cfg.Now = func() time.Time { return now }
		cfg.NewID = func() string { return "id-1" }
		cfg.SchemaBase = "https://quadrille.example/contracts"
		start(t, db, tr, cfg)

		ctx := events.WithTenantID(events.WithCausationID(events.WithCorrelationID(t.Context(), "flow"), "cause"), "acme")
		state, _ := trace.ParseTraceState("vendor=1")
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state,
		}))
		if err := db.Transaction(func(tx *gorm.DB) error {
			return events.Publish(ctx, tx, orderCreated{OrderID: "o", Number: 7}, events.WithSequence(3))
		}); err != nil {
			t.Fatal(err)
		}

		want := transport.Envelope{Data: []byte(`{"orderId":"o","number":7}`), Metadata: events.Metadata{
			ID: "id-1", Type: "order.created.v1", Source: "/order", Subject: "o", Time: now,
			DataSchema:    "https://quadrille.example/contracts/order.created.v1.json",
			CorrelationID: "flow", CausationID: "cause", TenantID: "acme", Sequence: "3",
			TraceParent: "00-01000000000000000000000000000000-0200000000000000-01", TraceState: "vendor=1",
		}}
		if diff := cmp.Diff(want, tr.WaitFor(t, "order.created.v1", "o")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPublish_AssignsUUIDv7(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, config())
	publish(t, db, orderCreated{OrderID: "o"})
	id, err := uuid.Parse(tr.WaitFor(t, "order.created.v1", "o").ID)
	if err != nil || id.Version() != 7 {
		t.Errorf("id %v: %v", id, err)
	}
}

func TestPublish_NothingSentAfterRollback(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		start(t, db, tr, config())

		no := errors.New("no")
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := events.Publish(t.Context(), tx, orderCreated{OrderID: "never"}); err != nil {
				return err
			}
			return no
		})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		if err := db.Transaction(func(tx *gorm.DB) error {
			_ = tx.Transaction(func(inner *gorm.DB) error {
				if err := events.Publish(t.Context(), inner, orderCreated{OrderID: "nor"}); err != nil {
					t.Error(err)
				}
				return no
			})
			return events.Publish(t.Context(), tx, orderCreated{OrderID: "last"})
		}); err != nil {
			t.Fatal(err)
		}
		tr.WaitFor(t, "order.created.v1", "last")
		if got := len(tr.Published()); got != 1 {
			t.Errorf("%d events published, want the last only", got)
		}
	})
}

func TestPublish_WakesRelayOnCommit(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]func(*gorm.DB) *gorm.DB{
		"plain":               func(db *gorm.DB) *gorm.DB { return db },
		"prepared statements": func(db *gorm.DB) *gorm.DB { return db.Session(&gorm.Session{PrepareStmt: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, url string) {
				db, tr := open(t, url), eventstest.NewTransport()
				cfg := config()
				cfg.Relay.PollInterval, cfg.Relay.LeaseTTL = time.Hour, time.Hour
				start(t, db, tr, cfg)
				eventually(t, "relay has the lease", func() bool {
					return scan[int](t, db, "select count(*) from outbox_lease") == 1
				})
				for _, subject := range []string{"first", "second"} {
					publish(t, session(db), orderCreated{OrderID: subject})
					tr.WaitFor(t, "order.created.v1", subject)
				}
			})
		})
	}
}

func TestPublish_WithPreparedStatements(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		prepared := db.Session(&gorm.Session{PrepareStmt: true})
		start(t, prepared, tr, config())
		publish(t, prepared, orderCreated{OrderID: "o"})
		tr.WaitFor(t, "order.created.v1", "o")
	})
}

func TestPublish_ReturnsDatabaseError(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		newBus(t, db, eventstest.NewTransport(), config())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		tx := db.Begin()
		defer tx.Rollback()
		if err := events.Publish(ctx, tx, orderCreated{OrderID: "o"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
