package eventstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func newQueue(service, handler string) transport.Queue {
	return transport.Queue{
		Service: service, Handler: handler, Publisher: senderService, Type: (noteSent{}).EventType(), RetryDelays: retryDelays,
	}
}

func handlersAreIndependent(h *harness) {
	h.startService(readerService, record("good"), handle("bad", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		return errors.New("always")
	}))
	sender := h.startService(senderService)
	h.send(sender, notes(3, 3)...)
	h.awaitEffects(readerService, "good", 3)
	bad := newQueue(readerService, "bad")
	h.until("dead letters", func() bool { return len(h.DeadLetters(h.t, bad)) == 3 })
	h.drain()
	h.checkAppliedOnce()
	if n := len(h.effects(readerService, "bad")); n != 0 {
		h.t.Errorf("the failing handler left %d effects", n)
	}
	if dead := h.DeadLetters(h.t, newQueue(readerService, "good")); len(dead) != 0 {
		h.t.Errorf("%d dead letters of the good handler", len(dead))
	}
}

func retriedThenDeadLettered(h *harness) {
	type call struct {
		attempt    int
		start, end time.Time
	}
	var mu sync.Mutex
	var calls []call
	var hookCalls []events.DeadLetter
	sub := handle("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
		start := time.Now()
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call{e.Attempt, start, time.Now()})
		return fmt.Errorf("failure %d", e.Attempt)
	})
	h.declare(readerService, sub)
	cfg := h.config(readerService)
	cfg.OnDeadLetter = func(_ context.Context, d events.DeadLetter) {
		mu.Lock()
		defer mu.Unlock()
		hookCalls = append(hookCalls, d)
	}
	h.start(cfg, sub)
	sender := h.startService(senderService)
	m := h.message("doomed", noteSent{Note: "note"})
	h.publish(sender, m)
	q := newQueue(readerService, "note-sent")
	h.until("a dead letter", func() bool { return len(h.DeadLetters(h.t, q)) > 0 })
	h.drain()

	attempts := len(retryDelays) + 1
	if dead := h.DeadLetters(h.t, q); len(dead) != 1 || dead[0].Reason != transport.ReasonFailed || dead[0].Attempts != attempts ||
		dead[0].Error != fmt.Sprint("failure ", attempts) || string(dead[0].Body) != string(m.Body) {
		h.t.Errorf("dead letters: %+v", dead)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != attempts {
		h.t.Fatalf("%d attempts, want %d", len(calls), attempts)
	}
	for i, c := range calls {
		if c.attempt != i+1 {
			h.t.Errorf("call %d was attempt %d", i+1, c.attempt)
		}
		if i > 0 {
			// Brokers round to milliseconds.
			if waited := c.start.Sub(calls[i-1].end); waited < retryDelays[i-1]-2*time.Millisecond {
				h.t.Errorf("attempt %d started after %v, the retry delay is %v", i+1, waited, retryDelays[i-1])
			}
		}
	}
	if len(hookCalls) != 1 || hookCalls[0].Metadata.ID != "doomed" || hookCalls[0].Attempts != attempts || hookCalls[0].Reason != transport.ReasonFailed {
		h.t.Errorf("OnDeadLetter was called with %+v", hookCalls)
	}
}

// outcomes has one handler that returns an error, or panics, depending on the text of the event.
func outcomes(h *harness) {
	const wait = 150 * time.Millisecond
	var mu sync.Mutex
	attempts := map[string][]int{}
	last := map[string]time.Time{}
	var waited time.Duration
	h.startService(readerService, handle("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
		mu.Lock()
		defer mu.Unlock()
		text := e.Event.Text
		attempts[text] = append(attempts[text], e.Attempt)
		if text == "later" && e.Attempt == 2 {
			waited = time.Since(last[text])
		}
		last[text] = time.Now()
		first := len(attempts[text]) == 1
		switch {
		case text == "permanent":
			return events.Permanent(errors.New("never"))
		case text == "plain" && first:
			return errors.New("not yet")
		case text == "later" && first:
			return events.RetryAfter(wait, errors.New("not so soon"))
		case text == "unavailable" && len(attempts[text]) <= 2:
			return events.Unavailable(errors.New("connection refused"))
		case text == "panic" && first:
			panic("ouch")
		}
		return nil
	}))
	sender := h.startService(senderService)

	altered := func(id, from, to string) transport.Message {
		m := h.message(id, noteSent{Note: "note"})
		m.Body = []byte(strings.Replace(string(m.Body), from, to, 1))
		return m
	}
	undecodable := h.message("undecodable", noteSent{Note: "note"})
	undecodable.Body = []byte("no envelope")
	version := altered("version", `"note.sent.v1"`, `"note.sent.v2"`)
	version.Type = "note.sent.v2"
	h.publish(sender,
		h.message("fine", noteSent{Note: "note", Text: "fine"}),
		h.message("plain", noteSent{Note: "note", Text: "plain"}),
		h.message("permanent", noteSent{Note: "note", Text: "permanent"}),
		h.message("later", noteSent{Note: "note", Text: "later"}),
		h.message("unavailable", noteSent{Note: "note", Text: "unavailable"}),
		h.message("panic", noteSent{Note: "note", Text: "panic"}),
		undecodable,
		altered("data", `"number":0`, `"number":"none"`),
		version,
		altered("type", `"note.sent.v1"`, `"note.mislaid.v1"`),
	)
	q := newQueue(readerService, "note-sent")
	h.awaitEffects(readerService, "note-sent", 5)
	h.until("dead letters", func() bool { return len(h.DeadLetters(h.t, q)) >= 5 })
	h.drain()
	h.checkAppliedOnce()

	applied := map[string]int{}
	for _, e := range h.effects(readerService, "note-sent") {
		applied[e.EventID]++
	}
	dead := map[string]DeadLetter{}
	deadLetters := h.DeadLetters(h.t, q)
	for _, d := range deadLetters {
		dead[string(d.Body)] = d
	}
	if len(deadLetters) != 5 {
		h.t.Errorf("%d dead letters, want 5", len(deadLetters))
	}
	for name, want := range map[string][]int{
		"fine": {1}, "plain": {1, 2}, "later": {1, 2}, "unavailable": {1, 1, 1}, "panic": {1, 2},
	} {
		h.t.Run(name, func(t *testing.T) {
			if got := attempts[name]; fmt.Sprint(got) != fmt.Sprint(want) || applied[name] != 1 {
				t.Errorf("attempts %v, want %v; applied %d times", got, want, applied[name])
			}
		})
	}
	h.t.Run("retry after waits", func(t *testing.T) {
		if waited < wait {
			t.Errorf("only %v", waited)
		}
	})
	for name, c := range map[string]struct {
		body   []byte
		reason transport.Reason
		text   string
	}{
		"permanent":            {h.findBody(deadLetters, `"id":"permanent"`), transport.ReasonPermanent, "never"},
		"undecodable envelope": {undecodable.Body, transport.ReasonUndecodable, "invalid character"},
		"undecodable data":     {h.findBody(deadLetters, `"id":"data"`), transport.ReasonUndecodable, "number"},
		"unknown version":      {version.Body, transport.ReasonIncompatible, "note.sent.v2"},
		"unknown type":         {h.findBody(deadLetters, `"id":"type"`), transport.ReasonIncompatible, "note.mislaid.v1"},
	} {
		h.t.Run(name, func(t *testing.T) {
			d, ok := dead[string(c.body)]
			if !ok || d.Reason != c.reason || d.Attempts != 1 || !strings.Contains(d.Error, c.text) {
				t.Errorf("dead letter %+v, want %s at attempt 1", d, c.reason)
			}
		})
	}
}

// hostileMessages has one handler that always fails for what the environment corrupts and for bodies that are no events,
// and a neighbour.
func hostileMessages(h *harness) {
	var mu sync.Mutex
	hooks := map[string]int{}
	sub := events.Handle("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		return errors.New("always")
	})
	h.declare(readerService, sub, record("good"))
	cfg := h.config(readerService)
	cfg.OnDeadLetter = func(_ context.Context, d events.DeadLetter) {
		mu.Lock()
		defer mu.Unlock()
		hooks[string(d.Body)]++
	}
	h.start(cfg, sub, record("good"))
	q := newQueue(readerService, "note-sent")
	bodies := map[string]string{}
	reasons := h.Corrupt(h.t, q, func(id string) transport.Message {
		m := h.message(id, noteSent{Note: id})
		bodies[id] = string(m.Body)
		return m
	})
	want := map[string]transport.Reason{}
	for id, reason := range reasons {
		want[bodies[id]] = reason
	}
	sender := h.startService(senderService)
	const n = 5
	h.send(sender, notes(n, n)...)
	h.awaitEffects(readerService, "good", n)
	h.until("dead letters", func() bool { return len(h.DeadLetters(h.t, q)) >= len(want)+n })
	h.drain()

	mu.Lock()
	defer mu.Unlock()
	found := 0
	for _, d := range h.DeadLetters(h.t, q) {
		body := string(d.Body)
		reason, hostile := want[body]
		if !hostile {
			continue
		}
		found++
		if d.Reason != reason || d.Error == "" || d.Attempts < 1 || d.Attempts > transport.MaxAttempts+1 {
			h.t.Errorf("dead letter %+v, want %s: %s", d, reason, body)
		}
		if hooks[body] != 1 {
			h.t.Errorf("OnDeadLetter was called %d times for %s", hooks[body], body)
		}
	}
	if found != len(want) {
		h.t.Errorf("%d of %d hostile messages are dead letters", found, len(want))
	}
}

func (h *harness) findBody(deadLetters []DeadLetter, part string) []byte {
	for _, d := range deadLetters {
		if strings.Contains(string(d.Body), part) {
			return d.Body
		}
	}
	return nil
}

func pauseUsesNoAttempts(h *harness) {
	var unavailable atomic.Bool
	unavailable.Store(true)
	sub := handle("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		if unavailable.Load() {
			return events.Unavailable(errors.New("connection refused"))
		}
		return nil
	})
	h.declare(readerService, sub)
	cfg := h.config(readerService)
	cfg.Handlers.PauseLimit = 50 * time.Millisecond
	reader := h.start(cfg, sub)
	sender := h.startService(senderService)
	h.send(sender, notes(5, 5)...)
	// Requeued and delivered again, more often than there are retry delays.
	h.until("deliveries", func() bool { return reader.deliveries.count("note-sent") >= 5*(len(retryDelays)+2) })
	unavailable.Store(false)
	h.awaitEffects(readerService, "note-sent", 5)
	h.finish()
	if n := reader.deliveries.maxAttempt("note-sent"); n != 1 {
		h.t.Errorf("the highest attempt is %d, want 1", n)
	}
}
