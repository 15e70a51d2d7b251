package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// TableBooked is an event of the service tables.
type TableBooked struct {
	TableID string `json:"tableId"`
	Guests  int    `json:"guests"`
}

func (TableBooked) EventType() string { return "table.booked.v1" }
func (e TableBooked) Subject() string { return e.TableID }

// tableEvents says once, for all services, who publishes TableBooked and that it must have a reader.
var tableEvents = []events.Declaration{{ETO: TableBooked{}, Publisher: "tables", Mandatory: true}}

// The event and the change that it tells of are committed together or not at all.
func ExamplePublish() {
	book := func(ctx context.Context, db *gorm.DB, table string, guests int) error {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Exec("update tables set guests = ? where id = ?", guests, table).Error; err != nil {
				return err
			}
			return events.Publish(ctx, tx, TableBooked{TableID: table, Guests: guests})
		})
	}
	_ = book
}

// A reminder that leaves a day later, whatever happens to this process meanwhile.
func ExampleWithDelay() {
	remind := func(ctx context.Context, tx *gorm.DB, table string) error {
		return events.Publish(ctx, tx, TableBooked{TableID: table}, events.WithDelay(24*time.Hour))
	}
	_ = remind
}

// Everything the reaction does in tx happens once for every event. What it returns decides what becomes of it.
func ExampleHandle() {
	layTable := func(ctx context.Context, tx *gorm.DB, e events.Received[TableBooked]) error {
		if e.Event.Guests <= 0 {
			return events.Permanent(fmt.Errorf("%d guests", e.Event.Guests)) // straight to the dead letters
		}
		return tx.Exec("insert into plates (table_id, n) values (?, ?)", e.Event.TableID, e.Event.Guests).Error
	}
	s := events.Handle("table-booked", layTable, events.WithWorkers(4))
	fmt.Println(s.Handler(), "reacts to", s.EventType())
	// Output: table-booked reacts to table.booked.v1
}

// The florist is asked outside any transaction, with the event's id as the key by which it knows a repetition; its
// answer is stored once.
func ExampleHandleExternal() {
	errClosed := errors.New("florist closed")
	orderFlowers := func(ctx context.Context, key string, guests int) (receipt string, err error) {
		return "", errClosed
	}
	s := events.HandleExternal("flowers",
		func(ctx context.Context, e events.Received[TableBooked]) (string, error) {
			receipt, err := orderFlowers(ctx, e.ID, e.Event.Guests)
			if errors.Is(err, errClosed) {
				return "", events.Unavailable(err) // pause, and spend no attempts
			}
			return receipt, err
		},
		func(ctx context.Context, tx *gorm.DB, e events.Received[TableBooked], receipt string) error {
			return tx.Exec("insert into flowers (table_id, receipt) values (?, ?)", e.Event.TableID, receipt).Error
		})
	fmt.Println(s.Handler())
	// Output: flowers
}

// A service from its addresses to its end.
func ExampleNew() {
	run := func(databaseURL, brokerURL string, reactions ...events.Subscription) error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		db, err := gorm.Open(postgres.Open(databaseURL), &gorm.Config{SkipDefaultTransaction: true})
		if err != nil {
			return err
		}
		transport, err := rabbitmq.New(brokerURL, rabbitmq.Config{Name: "kitchen"})
		if err != nil {
			return err
		}
		defer transport.Close()
		if err := events.Migrate(ctx, db); err != nil {
			return err
		}
		bus, err := events.New(db, transport, events.Config{Service: "kitchen", Events: tableEvents}, reactions...)
		if err != nil {
			return err
		}
		return bus.Run(ctx) // until a signal comes and what is in flight is finished
	}
	_ = run
}

// The job that declares queues derives them from the same subscriptions as the service.
func ExampleNewTopology() {
	topology, err := events.NewTopology(
		events.Config{Service: "kitchen", Events: tableEvents, RetryDelays: []time.Duration{time.Second, time.Minute}},
		events.Handle("table-booked", func(context.Context, *gorm.DB, events.Received[TableBooked]) error { return nil }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, q := range topology.Queues {
		fmt.Println(q, "takes", q.EventName(), "of", q.Publisher, "and retries after", q.RetryDelays)
	}
	// Output: kitchen.table-booked takes table.booked of tables and retries after [1s 1m0s]
}

// Mistakes come all at once.
func ExampleNewTopology_mistakes() {
	_, err := events.NewTopology(events.Config{Service: "The Kitchen", Handlers: events.HandlerConfig{Workers: -1}})
	fmt.Println(err)
	// Output:
	// events: configuration of service "The Kitchen": Service "The Kitchen" is not a lower-case name
	// Handlers.Workers is negative: -1
}

// A wrapped verdict is still one, and still the error it was made of.
func ExamplePermanent() {
	errNoSuchTable := errors.New("no such table")
	err := fmt.Errorf("lay table 7: %w", events.Permanent(errNoSuchTable))
	fmt.Println(err, errors.Is(err, errNoSuchTable))
	// Output: lay table 7: no such table true
}

// An envelope is a CloudEvent in JSON: what lies in a queue or in the outbox can be read by itself.
func ExampleEnvelope() {
	body, err := json.Marshal(transport.Envelope{
		Metadata: events.Metadata{
			ID: "0198f0a2-5e1c-7c3a-9d3e-0f1a2b3c4d5e", Type: "table.booked.v1", Source: "/quadrille/tables", Subject: "7",
			Time: time.Date(2026, 2, 3, 18, 30, 0, 0, time.UTC), CorrelationID: "evening",
		},
		Data: json.RawMessage(`{"tableId":"7","guests":2}`),
	})
	fmt.Println(string(body), err)
	// Output: {"specversion":"1.0","id":"0198f0a2-5e1c-7c3a-9d3e-0f1a2b3c4d5e","type":"table.booked.v1","source":"/quadrille/tables","subject":"7","time":"2026-02-03T18:30:00Z","datacontenttype":"application/json","correlationid":"evening","data":{"tableId":"7","guests":2}} <nil>
}
