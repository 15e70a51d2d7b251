package inprocess_test

import (
	"context"
	"errors"
	"fmt"
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

var declared = []events.Declaration{{ETO: TableBooked{}, Publisher: "tables", Mandatory: true}}

// Two services in one process, each with a database file of its own.
func Example() {
	if err := run(); err != nil {
		fmt.Println(err)
	}
	// Output: The kitchen cooks for 4 guests at table 7.
}

func run() error {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	cook := events.Handle("table-booked", func(_ context.Context, _ *gorm.DB, e events.Received[TableBooked]) error {
		fmt.Printf("The kitchen cooks for %d guests at table %s.\n", e.Event.Guests, e.Event.TableID)
		cancel()
		return nil
	})
	services := []struct {
		cfg           events.Config
		subscriptions []events.Subscription
	}{
		{cfg: events.Config{Service: "tables", Events: declared, AutoMigrate: true, DeclareTopology: true}},
		{cfg: events.Config{Service: "kitchen", Events: declared, AutoMigrate: true, DeclareTopology: true}, subscriptions: []events.Subscription{cook}},
	}

	broker := inprocess.NewBroker(inprocess.Config{})
	handles := map[string]*gorm.DB{}
	var buses []*events.Bus
	for _, s := range services {
		db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(folder, s.cfg.Service+".db") +
			"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate"))
		if err != nil {
			return err
		}
		defer closeHandle(db)
		handles[s.cfg.Service] = db
		bus, err := events.New(db, broker.Transport(db), s.cfg, s.subscriptions...)
		if err != nil {
			return err
		}
		buses = append(buses, bus)
	}
	ended := make(chan error, len(buses))
	for _, bus := range buses {
		go func() { ended <- bus.Run(ctx) }()
	}
	for _, bus := range buses {
		for bus.Ready(ctx) != nil { // until its tables and queues exist
			time.Sleep(10 * time.Millisecond)
		}
	}

	err = handles["tables"].Transaction(func(tx *gorm.DB) error {
		return events.Publish(ctx, tx, TableBooked{TableID: "7", Guests: 4})
	})
	for range buses {
		err = errors.Join(err, <-ended)
	}
	return err
}

func closeHandle(db *gorm.DB) {
	if pool, err := db.DB(); err == nil {
		_ = pool.Close()
	}
}
