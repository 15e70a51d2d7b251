package inprocess_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

type noteSent struct {
	Note   string `json:"note"`
	Number int    `json:"number"`
}

func (noteSent) EventType() string { return "note.sent.v1" }
func (n noteSent) Subject() string { return n.Note }

// BenchmarkBroker measures events from the transaction that publishes them until the handler of the reader is committed,
// on SQLite files.
func BenchmarkBroker(b *testing.B) {
	for name, subjects := range map[string]int{"one subject": 1, "fifty subjects": 50} {
		b.Run(name, func(b *testing.B) { passNotes(b, subjects) })
	}
}

func passNotes(b *testing.B, subjects int) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	broker := inprocess.NewBroker(inprocess.Config{})
	var done atomic.Int64
	finished := make(chan struct{})
	read := events.Handle("note-sent", func(_ context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		if done.Add(1) == int64(b.N) {
			close(finished)
		}
		return tx.Exec("insert into notes values (?, ?)", e.Event.Note, e.Event.Number).Error
	})
	handles := map[string]*gorm.DB{}
	ended := make(chan error, 2)
	for service, subs := range map[string][]events.Subscription{"sender": nil, "reader": {read}} {
		db := open(b, sqliteFiles.open(b, sqliteFiles.make(b)))
		if err := events.Migrate(ctx, db); err != nil {
			b.Fatal(err)
		}
		if err := db.Exec("create table notes (note text, number integer)").Error; err != nil {
			b.Fatal(err)
		}
		cfg := events.Config{Events: []events.Declaration{{ETO: noteSent{}, Publisher: "sender", Mandatory: true}}, Service: service, Logger: slog.New(slog.DiscardHandler)}
		topology, err := events.NewTopology(cfg, subs...)
		if err != nil {
			b.Fatal(err)
		}
		tr := broker.Transport(db)
		if err := tr.Declare(ctx, topology); err != nil {
			b.Fatal(err)
		}
		bus, err := events.New(db, tr, cfg, subs...)
		if err != nil {
			b.Fatal(err)
		}
		handles[service] = db
		go func() { ended <- bus.Run(ctx) }()
	}
	began := time.Now()
	for i := range b.N {
		if err := handles["sender"].Transaction(func(tx *gorm.DB) error {
			return events.Publish(ctx, tx, noteSent{Note: fmt.Sprint(i % subjects), Number: i})
		}); err != nil {
			b.Fatal(err)
		}
	}
	written := time.Since(began)
	<-finished
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/written.Seconds(), "writes/s")
	cancel()
	for range handles {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}
