package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

// passNotes publishes a few notes from one service to another and stops both.
func passNotes(h *harness) {
	h.startService(readerService, record("note-sent"))
	sender := h.startService(senderService)
	before := len(h.effects(readerService, "note-sent"))
	h.send(sender, notes(20, 3)...)
	h.awaitEffects(readerService, "note-sent", before+20)
	h.finish()
}

func eventReachesEverySubscription(h *harness) {
	h.startService(readerService, record("note-sent"), record("note-filed"))
	h.startService(scribeService, record("note-sent"))
	h.startService(scribeService, record("note-sent"))
	sender := h.startService(senderService)
	const n = 50
	for _, note := range notes(n, 7) {
		h.send(sender, note)
	}
	h.awaitEffects(readerService, "note-sent", n)
	h.awaitEffects(readerService, "note-filed", n)
	h.awaitEffects(scribeService, "note-sent", n)
	h.finish()
}

func eventIsAppliedOnce(h *harness) {
	reader := h.startService(readerService, record("note-sent"))
	sender := h.startService(senderService)
	m := h.message("same", noteSent{Note: "note"})
	for range 3 {
		h.publish(sender, m, m, m)
	}
	h.until("all duplicates delivered", func() bool { return reader.deliveries.count("note-sent") >= 9 })
	h.finish()
	if n := len(h.effects(readerService, "note-sent")); n != 1 {
		h.t.Errorf("applied %d times", n)
	}
}

func eventIsDeliveredAtItsTime(h *harness) {
	var mu sync.Mutex
	received := map[int]time.Time{}
	h.startService(readerService, handle("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
		mu.Lock()
		defer mu.Unlock()
		received[e.Event.Number] = time.Now()
		return nil
	}))
	first := h.startService(senderService)
	const delay = 700 * time.Millisecond
	written := time.Now()
	h.sendWith(context.Background(), first, []events.ETO{noteSent{Note: "note", Number: 1}}, events.WithDelay(delay))
	h.sendWith(context.Background(), first, []events.ETO{noteSent{Note: "note", Number: 3}}, events.WithDelay(time.Hour))
	h.send(first, noteSent{Note: "note", Number: 2}) // is not blocked by those before it
	first.stop()
	h.startService(senderService)
	h.awaitEffects(readerService, "note-sent", 2)
	if err := h.database(senderService).Exec("delete from outbox where available_at is not null").Error; err != nil {
		h.t.Fatal(err)
	}
	h.finish()

	mu.Lock()
	defer mu.Unlock()
	if early := delay - received[1].Sub(written); early > 0 {
		h.t.Errorf("delivered %v early", early)
	}
	if !received[3].IsZero() {
		h.t.Error("delivered an hour early")
	}
}

func eventCarriesItsContext(h *harness) {
	type hop struct {
		Type, Correlation, Causation, Tenant, Trace string
		Attempt                                     int
	}
	var mu sync.Mutex
	hops := map[string]hop{}
	ids := map[string]string{}
	note := func(ctx context.Context, m events.Metadata, attempt int) {
		mu.Lock()
		defer mu.Unlock()
		ids[m.Type] = m.ID
		hops[fmt.Sprint(m.Type, " ", attempt)] = hop{
			Type: m.Type, Correlation: events.CorrelationID(ctx), Causation: m.CausationID, Tenant: events.TenantID(ctx),
			Trace: trace.SpanContextFromContext(ctx).TraceID().String(), Attempt: attempt,
		}
		if events.CausationID(ctx) != m.ID {
			h.t.Errorf("%s: causation in the context is %q, not the event's id %q", m.Type, events.CausationID(ctx), m.ID)
		}
	}
	h.startService(readerService, handle("note-sent", func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		note(ctx, e.Metadata, e.Attempt)
		if e.Attempt == 1 {
			return errors.New("not yet")
		}
		return events.Publish(ctx, tx, noteReturned{Note: e.Event.Note})
	}))
	done := make(chan struct{})
	h.startService(scribeService, events.Handle("note-returned",
		func(ctx context.Context, _ *gorm.DB, e events.Received[noteReturned]) error {
			note(ctx, e.Metadata, e.Attempt)
			close(done)
			return nil
		}))
	sender := h.startService(senderService)

	traceID := trace.TraceID{7}
	ctx := events.WithTenantID(events.WithCausationID(events.WithCorrelationID(context.Background(), "flow"), "request"), "acme")
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: trace.SpanID{8}, TraceFlags: trace.FlagsSampled,
	}))
	h.sendWith(ctx, sender, []events.ETO{noteSent{Note: "note"}})
	h.awaitSignal("the second hop", done)
	h.finish()

	mu.Lock()
	defer mu.Unlock()
	sent, returned := (noteSent{}).EventType(), (noteReturned{}).EventType()
	want := map[string]hop{
		sent + " 1":     {sent, "flow", "request", "acme", traceID.String(), 1},
		sent + " 2":     {sent, "flow", "request", "acme", traceID.String(), 2},
		returned + " 1": {returned, "flow", ids[sent], "acme", traceID.String(), 1},
	}
	if diff := cmp.Diff(want, hops); diff != "" {
		h.t.Error(diff)
	}
}

func eventIsCommittedWithHandler(h *harness) {
	h.startService(readerService, handle("note-sent", func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		if err := events.Publish(ctx, tx, noteReturned{Note: e.Event.Note}); err != nil {
			return err
		}
		if e.Event.Number%2 == 0 && e.Attempt <= 2 {
			return errors.New("after publishing")
		}
		return nil
	}))
	scribe := h.startService(scribeService, events.Handle("note-returned",
		func(_ context.Context, tx *gorm.DB, e events.Received[noteReturned]) error {
			return tx.Create(&effect{Handler: "note-returned", EventID: e.ID, Note: e.Event.Note}).Error
		}))
	sender := h.startService(senderService)
	const n = 20
	h.send(sender, notes(n, n)...)
	h.awaitEffects(scribeService, "note-returned", n)
	h.finish()
	if got := scribe.deliveries.count("note-returned"); got < n {
		h.t.Errorf("%d deliveries", got)
	}
	returned := map[string]int{}
	for _, e := range h.effects(scribeService, "note-returned") {
		returned[e.Note]++
	}
	for note, times := range returned {
		if times != 1 {
			h.t.Errorf("%s was returned %d times: a failed attempt published", note, times)
		}
	}
}

func subjectKeepsItsOrder(h *harness) {
	var mu sync.Mutex
	received := map[string][]int{}
	total := 0
	// With one worker and no failures, handlers are called in the order of the first deliveries.
	h.startService(readerService, events.Handle("note-sent", func(_ context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		mu.Lock()
		defer mu.Unlock()
		received[e.Event.Note] = append(received[e.Event.Note], e.Event.Number)
		total++
		return nil
	}, events.WithWorkers(1)))
	read := func() int {
		mu.Lock()
		defer mu.Unlock()
		return total
	}

	h.declare(senderService)
	senders := map[string]*instance{}
	for _, name := range []string{"first", "second", "third"} {
		cfg := h.config(senderService)
		cfg.Instance, cfg.Relay.BatchSize = name, 20
		senders[name] = h.start(cfg)
	}
	leader := func() string {
		var holder string
		_ = h.database(senderService).Table("outbox_lease").Select("holder").Row().Scan(&holder)
		return holder
	}
	h.until("a leader", func() bool { return senders[leader()] != nil })
	first := leader()
	var others []*instance
	for name, a := range senders {
		if name != first {
			others = append(others, a)
		}
	}

	list := notes(300, 5)
	for i, note := range list[:150] {
		h.send(others[i%2], note)
	}
	h.until("the first events are handled", func() bool { return read() >= 10 })
	h.kill(senders[first])
	for i, note := range list[150:] {
		h.send(others[i%2], note)
	}
	h.until("all events are handled", func() bool { return read() >= len(list) })
	if now := leader(); now == first {
		h.t.Errorf("the leader is still %s", now)
	}
	h.finish()

	want := map[string][]int{}
	for _, eto := range list {
		note, _ := eto.(noteSent)
		want[note.Note] = append(want[note.Note], note.Number)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, received); diff != "" {
		h.t.Errorf("first deliveries: %s", diff)
	}
}
