package outline

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

func TestOutline_EqualsReadme(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("outline.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, outline, _ := strings.Cut(string(source), "// README.md shows what follows.\n\n")
	if outline == "" || !strings.Contains(string(readme), "```go\n"+outline+"```\n") {
		t.Errorf("README.md does not show the end of outline.go:\n%s", outline)
	}
}

// The order is stored with its event, and the handler of another service reserves it.
func TestOutline(t *testing.T) {
	t.Parallel()
	tr := eventstest.NewTransport()
	orders, stock := open(t), open(t)
	if err := orders.AutoMigrate(&Order{}); err != nil {
		t.Fatal(err)
	}
	if err := stock.Exec("create table stock (sku text, reserved integer)").Error; err != nil {
		t.Fatal(err)
	}
	if err := stock.Exec("insert into stock values ('fan', 0)").Error; err != nil {
		t.Fatal(err)
	}
	bus, err := events.New(orders, tr, events.Config{Service: "order", Events: declared})
	if err != nil {
		t.Fatal(err)
	}
	eventstest.Start(t, bus)
	if err := place(t.Context(), orders, Order{ID: "1", SKU: "fan"}); err != nil {
		t.Fatal(err)
	}
	published := eventstest.Decode[OrderPlaced](t, tr.WaitFor(t, "order.placed.v1", "1"))

	// The service stock has a transport of its own.
	other := eventstest.NewTransport()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, stock, other) }()
	for range 2 { // the second delivery is a duplicate
		other.Deliver(t, published, eventstest.WithID("event-1"))
	}
	stop()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var reserved int
	if err := stock.Raw("select reserved from stock").Scan(&reserved).Error; err != nil || reserved != 1 {
		t.Errorf("reserved %d, want 1 (%v)", reserved, err)
	}
}

// open returns a database file with the tables of the library.
func open(t *testing.T) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(sqlite.Open("file:"+t.TempDir()+"/test.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_txlock=immediate"),
		&gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pool, err := db.DB(); err != nil || pool.Close() != nil {
			t.Error("the database was not closed")
		}
	})
	return db
}
