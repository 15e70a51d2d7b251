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

func unroutableWaits(h *harness) {
	h.startService(scribeService, events.Handle("note-revised",
		func(_ context.Context, tx *gorm.DB, e events.Received[noteRevised]) error {
			return tx.Create(&effect{Handler: "note-revised", EventID: e.ID, Note: e.Event.Note}).Error
		}))
	sender := h.startService(senderService)
	h.send(sender,
		noteSent{Note: "blocked", Number: 1}, // mandatory, without a queue
		notePinned{Note: "free"},             // not mandatory, without a queue
		noteRevised{Note: "free"},
		noteRevised{Note: "blocked"}) // behind the first
	h.awaitEffects(scribeService, "note-revised", 1)
	h.until("the event is blocked", func() bool { return h.outboxRows(senderService, "blocked_until is not null") == 1 })
	h.until("the event that is not mandatory is done", func() bool { return h.outboxRows(senderService, "1 = 1") == 2 })
	if n := h.outboxRows(senderService, "rejections > 0 or parked_at is not null"); n > 0 {
		h.t.Errorf("%d rows count as rejected", n)
	}

	reader := h.startService(readerService, record("note-sent"))
	h.awaitEffects(readerService, "note-sent", 1)
	h.awaitEffects(scribeService, "note-revised", 2)
	h.finish()
	if n := reader.deliveries.maxAttempt("note-sent"); n != 1 {
		h.t.Errorf("the highest attempt is %d, want 1", n)
	}
}

func rejectedIsParked(h *harness) {
	h.startService(readerService, record("note-sent"))
	h.declare(senderService)
	h.Reject(h.t, senderService, (noteRevised{}).EventType())
	cfg := h.config(senderService)
	cfg.Relay.MaxPublishAttempts = 2
	sender := h.start(cfg)
	h.send(sender,
		noteSent{Note: "bad", Number: 1},
		noteRevised{Note: "bad"},
		noteSent{Note: "bad", Number: 2},
		noteSent{Note: "good", Number: 3})
	h.until("the event is parked", func() bool {
		return h.outboxRows(senderService, "parked_at is not null and rejections = 2 and last_error <> ''") == 1
	})
	h.send(sender, noteSent{Note: "good", Number: 4})
	h.awaitEffects(readerService, "note-sent", 3)
	h.until("the other events are done", func() bool { return h.outboxRows(senderService, "1 = 1") == 2 })
	for _, e := range h.effects(readerService, "note-sent") {
		if e.Number == 2 {
			h.t.Error("an event overtook a parked one of its own subject")
		}
	}
	h.checkAppliedOnce()
}

// blockingHandler blocks from its first call until it is released.
type blockingHandler struct {
	called  chan struct{}
	release chan struct{}
	first   sync.Once
}

func newBlockingHandler() *blockingHandler {
	return &blockingHandler{called: make(chan struct{}), release: make(chan struct{})}
}

func (h *blockingHandler) handle(ctx context.Context, _ *gorm.DB, _ events.Received[noteSent]) error {
	h.first.Do(func() { close(h.called) })
	select {
	case <-h.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func shutdownLosesNothing(h *harness) {
	blocking := newBlockingHandler()
	reader := h.startService(readerService, handle("note-sent", blocking.handle, events.WithWorkers(4)))
	sender := h.startService(senderService)
	const n = 40
	h.send(sender, notes(n, n)...)
	h.awaitSignal("the first call of the handler", blocking.called)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		sender.stop()
		reader.stop()
	}()
	close(blocking.release)
	h.awaitSignal("both services to stop", stopped)

	second := h.startService(readerService, record("note-sent"))
	h.startService(senderService)
	h.awaitEffects(readerService, "note-sent", n)
	h.finish()
	if n := max(reader.deliveries.maxAttempt("note-sent"), second.deliveries.maxAttempt("note-sent")); n != 1 {
		h.t.Errorf("a shutdown used an attempt: the highest is %d", n)
	}
}

func crashLosesNothing(h *harness) {
	blocking := newBlockingHandler()
	reader := h.startService(readerService, handle("note-sent", blocking.handle, events.WithWorkers(4)))
	sender := h.startService(senderService)
	const n = 40
	h.send(sender, notes(n, n)...)
	h.awaitSignal("the first call of the handler", blocking.called)
	h.kill(reader)
	h.kill(sender)

	second := h.startService(readerService, record("note-sent"))
	h.startService(senderService)
	h.awaitEffects(readerService, "note-sent", n)
	close(blocking.release)
	h.finish()
	if n := second.deliveries.maxAttempt("note-sent"); n != 1 {
		h.t.Errorf("a crash used an attempt: the highest is %d", n)
	}
}

func brokerUnavailable(h *harness) {
	reader := h.startService(readerService, record("note-sent"))
	sender := h.startService(senderService)
	h.send(sender, notes(10, 3)...)
	h.awaitEffects(readerService, "note-sent", 10)
	sender.Broker.Cut()
	reader.Broker.Cut()
	h.send(sender, notes(10, 3)...)
	h.until("publishing fails", func() bool {
		return errors.Join(sender.Transport.Publish(h.t.Context(), []transport.Message{h.message("x", noteSent{Note: "x"})})...) != nil
	})
	if n := h.outboxRows(senderService, "rejections = 0 and blocked_until is null and last_error = ''"); n != 10 {
		h.t.Errorf("%d of 10 rows wait unchanged", n)
	}
	reader.Broker.Restore()
	sender.Broker.Restore()
	h.awaitEffects(readerService, "note-sent", 20)
	h.finish()
}

func brokerLosesAConfirm(h *harness) {
	reader := h.startService(readerService, record("note-sent"))
	sender := h.startService(senderService)
	h.send(sender, notes(10, 3)...)
	h.awaitEffects(readerService, "note-sent", 10)

	sender.Broker.StallResponses()
	h.send(sender, notes(30, 3)...)
	h.awaitEffects(readerService, "note-sent", 11) // the broker has received some of them
	sender.Broker.Cut()
	sender.Broker.Restore()
	h.awaitEffects(readerService, "note-sent", 40)
	h.finish()
	if n := reader.deliveries.count("note-sent"); n <= 40 {
		h.t.Errorf("%d deliveries of 40 events: no event was sent twice, so no confirm was lost", n)
	}
}

func brokerLosesAnAcknowledgement(h *harness) {
	reader := h.startService(readerService, record("note-sent"))
	sender := h.startService(senderService)
	h.send(sender, notes(10, 3)...)
	h.awaitEffects(readerService, "note-sent", 10)

	reader.Broker.StallRequests()
	h.send(sender, notes(30, 3)...)
	h.awaitEffects(readerService, "note-sent", 11)
	reader.Broker.Cut()
	reader.Broker.Restore()
	h.awaitEffects(readerService, "note-sent", 40)
	h.finish()
	if n := reader.deliveries.count("note-sent"); n <= 40 {
		h.t.Errorf("%d deliveries of 40 events: no event was delivered twice, so no acknowledgement was lost", n)
	}
	if n := reader.deliveries.maxAttempt("note-sent"); n != 1 {
		h.t.Errorf("a lost acknowledgement used an attempt: the highest is %d", n)
	}
}

func databaseLosesAResponse(h *harness) {
	var reader *instance
	var lost atomic.Bool
	started := make(chan struct{})
	reader = h.startService(readerService, handle("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		<-started
		if lost.CompareAndSwap(false, true) {
			reader.Database.StallResponses() // from now on, so the response to the commit is lost
		}
		return nil
	}, events.WithWorkers(1)))
	close(started)
	sender := h.startService(senderService)
	h.send(sender, notes(3, 3)...)
	h.awaitEffects(readerService, "note-sent", 1) // committed, but the reader has no response
	reader.Database.Cut()
	reader.Database.Restore()
	h.awaitEffects(readerService, "note-sent", 3)
	h.finish()
	if n := len(h.effects(readerService, "note-sent")); n != 3 {
		h.t.Errorf("%d effects of 3 events", n)
	}
}

// databaseUnavailable cuts off a reader's database for longer than all retry delays. The end of these is known from another
// service, which fails the same events until they are dead letters.
func databaseUnavailable(h *harness) {
	reader := h.startService(readerService, record("note-sent"))
	h.startService(scribeService, handle("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		return errors.New("always")
	}))
	sender := h.startService(senderService)
	reader.Database.Cut()
	const n = 20
	h.send(sender, notes(n, 3)...)
	queue, failing := newQueue(readerService, "note-sent"), newQueue(scribeService, "note-sent")
	h.until("the retry delays have passed", func() bool { return len(h.DeadLetters(h.t, failing)) == n })
	h.until("the reader has received an event", func() bool { return reader.deliveries.count("note-sent") > 0 })
	reader.Database.Restore()
	h.awaitEffects(readerService, "note-sent", n)
	h.drain()
	h.checkAppliedOnce()
	if dead := h.DeadLetters(h.t, queue); len(dead) > 0 {
		h.t.Errorf("%d dead letters, the first: %s", len(dead), fmt.Sprintf("%+v", dead[0]))
	}
	if most := reader.deliveries.maxAttempt("note-sent"); most != 1 {
		h.t.Errorf("the outage used attempts: the highest is %d", most)
	}
}
