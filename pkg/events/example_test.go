package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
)

// TableBooked is an event of the service tables.
type TableBooked struct {
	TableID string `json:"tableId"`
	Guests  int    `json:"guests"`
}

func (TableBooked) EventType() string { return "table.booked.v1" }
func (e TableBooked) Subject() string { return e.TableID }

// tableEvents declares, once for all services, who publishes TableBooked and that it is mandatory.
var tableEvents = []events.Declaration{{ETO: TableBooked{}, Publisher: "tables", Mandatory: true}}

// A Plate lies on a table.
type Plate struct {
	ID      uint
	TableID string
}

// serve runs a service that publishes and handles TableBooked, on a new SQLite database, while use is called.
func serve(cfg events.Config, subscription events.Subscription, use func(ctx context.Context, db *gorm.DB) error) error {
	cfg.Service, cfg.Events = "tables", tableEvents
	cfg.Logger = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(folder, "tables.db") +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate"))
	if err != nil {
		return err
	}
	defer func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
	}()
	topology, err := events.NewTopology(cfg, subscription)
	if err != nil {
		return err
	}
	broker := inprocess.NewBroker(inprocess.Config{Logger: cfg.Logger}).Transport(db)
	bus, err := events.New(db, broker, cfg, subscription)
	if err != nil {
		return err
	}
	if err := errors.Join(db.AutoMigrate(&Plate{}), events.Migrate(ctx, db), broker.Declare(ctx, topology)); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(ctx) }()
	err = use(ctx, db)
	stop()
	return errors.Join(err, <-ended)
}

// book publishes an event in a transaction of its own.
func book(ctx context.Context, db *gorm.DB, e TableBooked, opts ...events.PublishOption) error {
	return db.Transaction(func(tx *gorm.DB) error { return events.Publish(ctx, tx, e, opts...) })
}

// The event and the change that it is about are committed in one transaction, or neither is.
func ExamplePublish() {
	received := make(chan TableBooked)
	onBooked := events.Handle("table-booked", func(_ context.Context, _ *gorm.DB, e events.Received[TableBooked]) error {
		received <- e.Event
		return nil
	})
	err := serve(events.Config{}, onBooked, func(ctx context.Context, db *gorm.DB) error {
		book := func(table string, guests int) error {
			return db.Transaction(func(tx *gorm.DB) error {
				if err := tx.Create(&Plate{TableID: table}).Error; err != nil {
					return err
				}
				if err := events.Publish(ctx, tx, TableBooked{TableID: table, Guests: guests}); err != nil {
					return err
				}
				if guests > 10 {
					return errors.New("table is too small") // no plate, and no event
				}
				return nil
			})
		}
		fmt.Println(book("6", 12))
		fmt.Println(book("7", 4))
		e := <-received
		fmt.Printf("table %s is booked for %d\n", e.TableID, e.Guests)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// table is too small
	// <nil>
	// table 7 is booked for 4
}

// A scheduled event is stored like every other, so it survives a restart of the process.
func ExampleWithDelay() {
	const delay = 100 * time.Millisecond
	var published time.Time
	received := make(chan time.Duration)
	remind := events.Handle("remind", func(context.Context, *gorm.DB, events.Received[TableBooked]) error {
		received <- time.Since(published)
		return nil
	})
	err := serve(events.Config{}, remind, func(ctx context.Context, db *gorm.DB) error {
		published = time.Now()
		if err := book(ctx, db, TableBooked{TableID: "7"}, events.WithDelay(delay)); err != nil {
			return err
		}
		fmt.Println("not before the delay has passed:", <-received >= delay)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: not before the delay has passed: true
}

// The changes that a handler makes in tx happen once per event, however often the event is delivered. Its error decides
// what happens next: a plain error is retried after each of Config.RetryDelays.
func ExampleHandle() {
	laid := make(chan int64)
	attempts := make(chan int, 2)
	layTable := events.Handle("lay-table", func(_ context.Context, tx *gorm.DB, e events.Received[TableBooked]) error {
		attempts <- e.Attempt
		if err := tx.Create(&Plate{TableID: e.Event.TableID}).Error; err != nil {
			return err
		}
		if e.Attempt == 1 {
			return errors.New("out of plates") // rolled back
		}
		var n int64
		err := tx.Model(&Plate{}).Count(&n).Error
		laid <- n
		return err
	}, events.WithWorkers(4), events.WithTimeout(10*time.Second))
	cfg := events.Config{RetryDelays: []time.Duration{10 * time.Millisecond, time.Second}}
	err := serve(cfg, layTable, func(ctx context.Context, db *gorm.DB) error {
		if err := book(ctx, db, TableBooked{TableID: "7"}); err != nil {
			return err
		}
		fmt.Println("plates:", <-laid, "attempts:", <-attempts, <-attempts)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: plates: 1 attempts: 1 2
}

// The florist is called outside of any transaction, with the id of the event as its idempotency key. Its result is then
// stored in one.
func ExampleHandleExternal() {
	calls := 0
	orderFlowers := func(_ context.Context, idempotencyKey string) (receipt string, err error) {
		if calls++; calls == 1 {
			return "", errors.New("connection refused")
		}
		return "receipt", nil
	}
	done := make(chan string)
	flowers := events.HandleExternal("order-flowers",
		func(ctx context.Context, e events.Received[TableBooked]) (string, error) {
			receipt, err := orderFlowers(ctx, e.ID)
			if err != nil {
				return "", events.Unavailable(err) // pauses the subscription and counts no attempt
			}
			return receipt, nil
		},
		func(_ context.Context, tx *gorm.DB, e events.Received[TableBooked], receipt string) error {
			defer func() { done <- fmt.Sprintf("%s for table %s at attempt %d", receipt, e.Event.TableID, e.Attempt) }()
			return tx.Create(&Plate{TableID: e.Event.TableID}).Error
		})
	err := serve(events.Config{}, flowers, func(ctx context.Context, db *gorm.DB) error {
		if err := book(ctx, db, TableBooked{TableID: "7"}); err != nil {
			return err
		}
		fmt.Println(<-done, "after", calls, "calls")
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: receipt for table 7 at attempt 1 after 2 calls
}

// A permanent error makes the event a dead letter at its first attempt. It may be wrapped.
func ExamplePermanent() {
	errNoSuchTable := errors.New("no such table")
	layTable := events.Handle("lay-table", func(_ context.Context, _ *gorm.DB, e events.Received[TableBooked]) error {
		return fmt.Errorf("lay table %s: %w", e.Event.TableID, events.Permanent(errNoSuchTable))
	})
	deadLetters := make(chan events.DeadLetter)
	cfg := events.Config{OnDeadLetter: func(_ context.Context, d events.DeadLetter) { deadLetters <- d }}
	err := serve(cfg, layTable, func(ctx context.Context, db *gorm.DB) error {
		if err := book(ctx, db, TableBooked{TableID: "13"}); err != nil {
			return err
		}
		d := <-deadLetters
		fmt.Println(d.Error())
		fmt.Println(errors.Is(d.Err, errNoSuchTable))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// tables.lay-table: dead letter (permanent, attempt 1): lay table 13: no such table
	// true
}

// RetryAfter postpones the next attempt. A transport with fixed retry delays uses the shortest that is long enough.
func ExampleRetryAfter() {
	const delay = 50 * time.Millisecond
	var failed time.Time
	waited := make(chan time.Duration)
	layTable := events.Handle("lay-table", func(_ context.Context, _ *gorm.DB, e events.Received[TableBooked]) error {
		if e.Attempt == 1 {
			failed = time.Now()
			return events.RetryAfter(delay, errors.New("the kitchen is busy"))
		}
		waited <- time.Since(failed)
		return nil
	})
	err := serve(events.Config{}, layTable, func(ctx context.Context, db *gorm.DB) error {
		if err := book(ctx, db, TableBooked{TableID: "7"}); err != nil {
			return err
		}
		fmt.Println("not before the delay has passed:", <-waited >= delay)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: not before the delay has passed: true
}

// A program that declares the topology derives it from the same subscriptions as the service.
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
		fmt.Println(q, "receives", q.EventName(), "from", q.Publisher, "and retries after", q.RetryDelays)
	}
	// Output: kitchen.table-booked receives table.booked from tables and retries after [1s 1m0s]
}

// All mistakes of a configuration are reported at once.
func ExampleNewTopology_mistakes() {
	_, err := events.NewTopology(events.Config{Service: "The Kitchen", RetryDelays: []time.Duration{0}})
	fmt.Println(err)
	// Output:
	// events: configuration of service "The Kitchen": Service "The Kitchen" is not a lower-case name
	// RetryDelays[0] is 0s: a retry delay is at least a millisecond
}
