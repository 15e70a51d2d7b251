package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func unroutableWaits(s *scene) {
	s.enter(scribeService, events.Handle("note-revised",
		func(_ context.Context, tx *gorm.DB, e events.Received[noteRevised]) error {
			return tx.Create(&effect{Reaction: "note-revised", EventID: e.ID, Note: e.Event.Note}).Error
		}))
	sender := s.enter(senderService)
	s.send(sender,
		noteSent{Note: "held", Number: 1}, // required, and nobody has a queue
		notePinned{Note: "free"},          // open, and nobody has a queue
		noteRevised{Note: "free"},
		noteRevised{Note: "held"}) // behind the first
	s.awaitEffects(scribeService, "note-revised", 1)
	s.until("the event is held", func() bool { return s.waiting(senderService, "blocked_until is not null") == 1 })
	s.until("the open event is done", func() bool { return s.waiting(senderService, "1 = 1") == 2 })
	if n := s.waiting(senderService, "rejections > 0 or parked_at is not null"); n > 0 {
		s.t.Errorf("%d rows count as refused", n)
	}

	reader := s.enter(readerService, reads("note-sent"))
	s.awaitEffects(readerService, "note-sent", 1)
	s.awaitEffects(scribeService, "note-revised", 2)
	s.curtain()
	if n := reader.taken.mostAttempts("note-sent"); n != 1 {
		s.t.Errorf("an attempt was number %d", n)
	}
}

func refusedIsParked(s *scene) {
	s.enter(readerService, reads("note-sent"))
	s.announce(senderService)
	s.Refuse(s.t, senderService, (noteRevised{}).EventType())
	cfg := s.config(senderService)
	cfg.Relay.MaxPublishAttempts = 2
	sender := s.start(cfg)
	s.send(sender,
		noteSent{Note: "bad", Number: 1},
		noteRevised{Note: "bad"},
		noteSent{Note: "bad", Number: 2},
		noteSent{Note: "good", Number: 3})
	s.until("the event is parked", func() bool {
		return s.waiting(senderService, "parked_at is not null and rejections = 2 and last_error <> ''") == 1
	})
	s.send(sender, noteSent{Note: "good", Number: 4})
	s.awaitEffects(readerService, "note-sent", 3)
	s.until("the others are done", func() bool { return s.waiting(senderService, "1 = 1") == 2 })
	for _, e := range s.effects(readerService, "note-sent") {
		if e.Number == 2 {
			s.t.Error("an event overtook a parked one of its own subject")
		}
	}
	s.once()
}

// heldUp is a reaction that blocks, once it has been called, until it is released.
type heldUp struct {
	called  chan struct{}
	release chan struct{}
	first   sync.Once
}

func newHeldUp() *heldUp { return &heldUp{called: make(chan struct{}), release: make(chan struct{})} }

func (h *heldUp) react(ctx context.Context, _ *gorm.DB, _ events.Received[noteSent]) error {
	h.first.Do(func() { close(h.called) })
	select {
	case <-h.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func shutdownLosesNothing(s *scene) {
	held := newHeldUp()
	reader := s.enter(readerService, reacts("note-sent", held.react, events.WithWorkers(4)))
	sender := s.enter(senderService)
	const n = 40
	s.send(sender, notes(n, n)...)
	s.signalled("work in flight", held.called)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		sender.stop()
		reader.stop()
	}()
	close(held.release)
	s.signalled("both stop", stopped)

	second := s.enter(readerService, reads("note-sent"))
	s.enter(senderService)
	s.awaitEffects(readerService, "note-sent", n)
	s.curtain()
	if n := max(reader.taken.mostAttempts("note-sent"), second.taken.mostAttempts("note-sent")); n != 1 {
		s.t.Errorf("a shutdown spent an attempt: one was number %d", n)
	}
}

func crashLosesNothing(s *scene) {
	held := newHeldUp()
	reader := s.enter(readerService, reacts("note-sent", held.react, events.WithWorkers(4)))
	sender := s.enter(senderService)
	const n = 40
	s.send(sender, notes(n, n)...)
	s.signalled("work in flight", held.called)
	s.kill(reader)
	s.kill(sender)

	second := s.enter(readerService, reads("note-sent"))
	s.enter(senderService)
	s.awaitEffects(readerService, "note-sent", n)
	close(held.release)
	s.curtain()
	if n := second.taken.mostAttempts("note-sent"); n != 1 {
		s.t.Errorf("a crash spent an attempt: one was number %d", n)
	}
}

func brokerAway(s *scene) {
	reader := s.enter(readerService, reads("note-sent"))
	sender := s.enter(senderService)
	s.send(sender, notes(10, 3)...)
	s.awaitEffects(readerService, "note-sent", 10)
	sender.Broker.Cut()
	reader.Broker.Cut()
	s.send(sender, notes(10, 3)...)
	s.until("the sender has noticed", func() bool {
		return errors.Join(sender.Transport.Publish(s.t.Context(), []transport.Message{s.message("x", noteSent{Note: "x"})})...) != nil
	})
	if n := s.waiting(senderService, "rejections = 0 and blocked_until is null and last_error = ''"); n != 10 {
		s.t.Errorf("%d of 10 rows wait untouched", n)
	}
	reader.Broker.Restore()
	sender.Broker.Restore()
	s.awaitEffects(readerService, "note-sent", 20)
	s.curtain()
}

func brokerLosesAConfirm(s *scene) {
	reader := s.enter(readerService, reads("note-sent"))
	sender := s.enter(senderService)
	s.send(sender, notes(10, 3)...)
	s.awaitEffects(readerService, "note-sent", 10)

	sender.Broker.StallAnswers()
	s.send(sender, notes(30, 3)...)
	s.awaitEffects(readerService, "note-sent", 11) // so the broker has some of them
	sender.Broker.Cut()
	sender.Broker.Restore()
	s.awaitEffects(readerService, "note-sent", 40)
	s.curtain()
	if n := reader.taken.count("note-sent"); n <= 40 {
		s.t.Errorf("%d deliveries of 40 events: nothing was sent twice, so no confirm was lost", n)
	}
}

func brokerLosesAnAcknowledgement(s *scene) {
	reader := s.enter(readerService, reads("note-sent"))
	sender := s.enter(senderService)
	s.send(sender, notes(10, 3)...)
	s.awaitEffects(readerService, "note-sent", 10)

	reader.Broker.StallRequests()
	s.send(sender, notes(30, 3)...)
	s.awaitEffects(readerService, "note-sent", 11)
	reader.Broker.Cut()
	reader.Broker.Restore()
	s.awaitEffects(readerService, "note-sent", 40)
	s.curtain()
	if n := reader.taken.count("note-sent"); n <= 40 {
		s.t.Errorf("%d deliveries of 40 events: nothing came twice, so no acknowledgement was lost", n)
	}
	if n := reader.taken.mostAttempts("note-sent"); n != 1 {
		s.t.Errorf("a lost acknowledgement spent an attempt: one was number %d", n)
	}
}

func databaseLosesAnAnswer(s *scene) {
	var reader *actor
	var lost atomic.Bool
	started := make(chan struct{})
	reader = s.enter(readerService, reacts("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		<-started
		if lost.CompareAndSwap(false, true) {
			reader.Database.StallAnswers() // the next is that to the commit
		}
		return nil
	}, events.WithWorkers(1)))
	close(started)
	sender := s.enter(senderService)
	s.send(sender, notes(3, 3)...)
	s.awaitEffects(readerService, "note-sent", 1) // committed, and the reader does not know
	reader.Database.Cut()
	reader.Database.Restore()
	s.awaitEffects(readerService, "note-sent", 3)
	s.curtain()
	if n := len(s.effects(readerService, "note-sent")); n != 3 {
		s.t.Errorf("%d effects of 3 events", n)
	}
}

// databaseAway takes a reader's database away. How long a ladder lasts is told by another service, which fails
// the same events until they are dead.
func databaseAway(s *scene) {
	reader := s.enter(readerService, reads("note-sent"))
	s.enter(scribeService, reacts("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		return errors.New("always")
	}))
	sender := s.enter(senderService)
	reader.Database.Cut()
	const n = 20
	s.send(sender, notes(n, 3)...)
	scribe, clock := queueOf(readerService, "note-sent"), queueOf(scribeService, "note-sent")
	s.until("the ladder is over", func() bool { return len(s.DeadLetters(s.t, clock)) == n })
	s.until("the reader has tried", func() bool { return reader.taken.count("note-sent") > 0 })
	reader.Database.Restore()
	s.awaitEffects(readerService, "note-sent", n)
	s.drained()
	s.once()
	if dead := s.DeadLetters(s.t, scribe); len(dead) > 0 {
		s.t.Errorf("%d dead letters, the first: %s", len(dead), fmt.Sprintf("%+v", dead[0]))
	}
	if most := reader.taken.mostAttempts("note-sent"); most != 1 {
		s.t.Errorf("the outage spent attempts: one was number %d", most)
	}
}
