package events_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/audit"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

func TestWriteAudit_ListsEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.Audit = true
		bus := newBus(t, db, tr, cfg, handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }))
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "a"})
		outboxEmpty(t, db)
		tr.Deliver(t, orderCreated{OrderID: "other"}, eventstest.WithID("event-1"))

		later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		if err := db.Transaction(func(tx *gorm.DB) error {
			return events.Publish(t.Context(), tx, orderCreated{OrderID: "b"}, events.WithDeliverAt(later))
		}); err != nil {
			t.Fatal(err)
		}

		var snapshot audit.Snapshot
		if err := db.Transaction(func(tx *gorm.DB) (err error) {
			snapshot, err = readAudit(t, bus, tx)
			return err
		}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
			t.Fatal(err)
		}
		if !snapshot.Audited || time.Since(snapshot.ConsumedSince) < 29*24*time.Hour {
			t.Errorf("audited %t, consumed since %v", snapshot.Audited, snapshot.ConsumedSince)
		}
		if p := snapshot.Published; len(p) != 1 || p[0].Subject != "a" || p[0].Type != "order.created.v1" || p[0].ID != tr.Published()[0].ID || p[0].At.IsZero() {
			t.Errorf("published %+v", p)
		}
		if o := snapshot.Outbox; len(o) != 1 || o[0].Subject != "b" || o[0].AvailableAt == nil || !o[0].AvailableAt.Equal(later) || o[0].ParkedAt != nil {
			t.Errorf("outbox %+v", o)
		}
		if k := snapshot.Consumed; len(k) != 1 || k[0].EventID != "event-1" || k[0].Handler != "order-created" || k[0].At.IsZero() {
			t.Errorf("consumed %+v", k)
		}
	})
}

func TestWriteAudit_NewServiceHasEmptyLists(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		snapshot, err := readAudit(t, newBus(t, db, eventstest.NewTransport(), config()), db)
		if err != nil {
			t.Fatal(err)
		}
		snapshot.ConsumedSince = time.Time{}
		want := audit.Snapshot{Outbox: []audit.Unpublished{}, Published: []audit.Published{}, Consumed: []audit.Consumed{}}
		if diff := cmp.Diff(want, snapshot); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func readAudit(t *testing.T, bus *events.Bus, tx *gorm.DB) (snapshot audit.Snapshot, err error) {
	t.Helper()
	var text bytes.Buffer
	if err := bus.WriteAudit(t.Context(), tx, &text); err != nil {
		return snapshot, err
	}
	return snapshot, json.Unmarshal(text.Bytes(), &snapshot)
}
