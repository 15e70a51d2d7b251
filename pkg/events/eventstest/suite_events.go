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

// passNotes lets a few notes pass from one service to another and stops both.
func passNotes(s *scene) {
	s.enter(readerService, reads("note-sent"))
	sender := s.enter(senderService)
	before := len(s.effects(readerService, "note-sent"))
	s.send(sender, notes(20, 3)...)
	s.awaitEffects(readerService, "note-sent", before+20)
	s.curtain()
}

func eventReachesEverySubscription(s *scene) {
	s.enter(readerService, reads("note-sent"), reads("note-filed"))
	s.enter(scribeService, reads("note-sent"))
	s.enter(scribeService, reads("note-sent"))
	sender := s.enter(senderService)
	const n = 50
	for _, note := range notes(n, 7) {
		s.send(sender, note)
	}
	s.awaitEffects(readerService, "note-sent", n)
	s.awaitEffects(readerService, "note-filed", n)
	s.awaitEffects(scribeService, "note-sent", n)
	s.curtain()
}

func eventIsAppliedOnce(s *scene) {
	reader := s.enter(readerService, reads("note-sent"))
	sender := s.enter(senderService)
	m := s.message("same", noteSent{Note: "note"})
	for range 3 {
		s.post(sender, m, m, m)
	}
	s.until("all duplicates delivered", func() bool { return reader.taken.count("note-sent") >= 9 })
	s.curtain()
	if n := len(s.effects(readerService, "note-sent")); n != 1 {
		s.t.Errorf("applied %d times", n)
	}
}

func eventWaitsUntilItsTime(s *scene) {
	var mu sync.Mutex
	came := map[int]time.Time{}
	s.enter(readerService, reacts("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
		mu.Lock()
		defer mu.Unlock()
		came[e.Event.Number] = time.Now()
		return nil
	}))
	first := s.enter(senderService)
	const delay = 700 * time.Millisecond
	written := time.Now()
	s.sendWith(context.Background(), first, []events.ETO{noteSent{Note: "note", Number: 1}}, events.WithDelay(delay))
	s.sendWith(context.Background(), first, []events.ETO{noteSent{Note: "note", Number: 3}}, events.WithDelay(time.Hour))
	s.send(first, noteSent{Note: "note", Number: 2}) // is not blocked back by those before it
	first.stop()
	s.enter(senderService)
	s.awaitEffects(readerService, "note-sent", 2)
	if err := s.observe(senderService).Exec("delete from outbox where available_at is not null").Error; err != nil {
		s.t.Fatal(err)
	}
	s.curtain()

	mu.Lock()
	defer mu.Unlock()
	if early := delay - came[1].Sub(written); early > 0 {
		s.t.Errorf("came %v early", early)
	}
	if !came[3].IsZero() {
		s.t.Error("came an hour early")
	}
}

func eventCarriesItsContext(s *scene) {
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
			s.t.Errorf("%s: causation in the context is %q, not the event's id %q", m.Type, events.CausationID(ctx), m.ID)
		}
	}
	s.enter(readerService, reacts("note-sent", func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		note(ctx, e.Metadata, e.Attempt)
		if e.Attempt == 1 {
			return errors.New("not yet")
		}
		return events.Publish(ctx, tx, noteReturned{Note: e.Event.Note})
	}))
	done := make(chan struct{})
	s.enter(scribeService, events.Handle("note-returned",
		func(ctx context.Context, _ *gorm.DB, e events.Received[noteReturned]) error {
			note(ctx, e.Metadata, e.Attempt)
			close(done)
			return nil
		}))
	sender := s.enter(senderService)

	traceID := trace.TraceID{7}
	ctx := events.WithTenantID(events.WithCausationID(events.WithCorrelationID(context.Background(), "flow"), "request"), "acme")
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: trace.SpanID{8}, TraceFlags: trace.FlagsSampled,
	}))
	s.sendWith(ctx, sender, []events.ETO{noteSent{Note: "note"}})
	s.signalled("the second hop", done)
	s.curtain()

	mu.Lock()
	defer mu.Unlock()
	sent, returned := (noteSent{}).EventType(), (noteReturned{}).EventType()
	want := map[string]hop{
		sent + " 1":     {sent, "flow", "request", "acme", traceID.String(), 1},
		sent + " 2":     {sent, "flow", "request", "acme", traceID.String(), 2},
		returned + " 1": {returned, "flow", ids[sent], "acme", traceID.String(), 1},
	}
	if diff := cmp.Diff(want, hops); diff != "" {
		s.t.Error(diff)
	}
}

func eventIsPublishedWithItsReaction(s *scene) {
	s.enter(readerService, reacts("note-sent", func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		if err := events.Publish(ctx, tx, noteReturned{Note: e.Event.Note}); err != nil {
			return err
		}
		if e.Event.Number%2 == 0 && e.Attempt <= 2 {
			return errors.New("after publishing")
		}
		return nil
	}))
	scribe := s.enter(scribeService, events.Handle("note-returned",
		func(_ context.Context, tx *gorm.DB, e events.Received[noteReturned]) error {
			return tx.Create(&effect{Reaction: "note-returned", EventID: e.ID, Note: e.Event.Note}).Error
		}))
	sender := s.enter(senderService)
	const n = 20
	s.send(sender, notes(n, n)...)
	s.awaitEffects(scribeService, "note-returned", n)
	s.curtain()
	if got := scribe.taken.count("note-returned"); got < n {
		s.t.Errorf("%d deliveries", got)
	}
	answers := map[string]int{}
	for _, e := range s.effects(scribeService, "note-returned") {
		answers[e.Note]++
	}
	for note, times := range answers {
		if times != 1 {
			s.t.Errorf("%s was returned %d times: a failed attempt published", note, times)
		}
	}
}

func keyKeepsItsOrder(s *scene) {
	var mu sync.Mutex
	came := map[string][]int{}
	total := 0
	// One worker and no failures: the order of calls is that in which the events first came.
	s.enter(readerService, events.Handle("note-sent", func(_ context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		mu.Lock()
		defer mu.Unlock()
		came[e.Event.Note] = append(came[e.Event.Note], e.Event.Number)
		total++
		return nil
	}, events.WithWorkers(1)))
	read := func() int {
		mu.Lock()
		defer mu.Unlock()
		return total
	}

	s.announce(senderService)
	senders := map[string]*actor{}
	for _, name := range []string{"first", "second", "third"} {
		cfg := s.config(senderService)
		cfg.Instance, cfg.Relay.BatchSize = name, 20
		senders[name] = s.start(cfg)
	}
	leader := func() string {
		var holder string
		_ = s.observe(senderService).Table("outbox_lease").Select("holder").Row().Scan(&holder)
		return holder
	}
	s.until("a leader", func() bool { return senders[leader()] != nil })
	first := leader()
	var others []*actor
	for name, a := range senders {
		if name != first {
			others = append(others, a)
		}
	}

	list := notes(300, 5)
	for i, note := range list[:150] {
		s.send(others[i%2], note)
	}
	s.until("events pass", func() bool { return read() >= 10 })
	s.kill(senders[first])
	for i, note := range list[150:] {
		s.send(others[i%2], note)
	}
	s.until("all events came", func() bool { return read() >= len(list) })
	if now := leader(); now == first {
		s.t.Errorf("the leader is still %s", now)
	}
	s.curtain()

	want := map[string][]int{}
	for _, eto := range list {
		note, _ := eto.(noteSent)
		want[note.Note] = append(want[note.Note], note.Number)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, came); diff != "" {
		s.t.Errorf("first occurrences: %s", diff)
	}
}
