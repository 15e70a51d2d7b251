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

func queueOf(service, reaction string) transport.Queue {
	return transport.Queue{
		Service: service, Handler: reaction, Publisher: senderService, Type: (noteSent{}).EventType(), RetryDelays: ladder,
	}
}

func reactionsAreIndependent(s *scene) {
	s.enter(readerService, reads("good"), reacts("bad", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		return errors.New("always")
	}))
	sender := s.enter(senderService)
	s.send(sender, notes(3, 3)...)
	s.awaitEffects(readerService, "good", 3)
	bad := queueOf(readerService, "bad")
	s.until("dead letters", func() bool { return len(s.DeadLetters(s.t, bad)) == 3 })
	s.drained()
	s.once()
	if n := len(s.effects(readerService, "bad")); n != 0 {
		s.t.Errorf("the failing reaction left %d effects", n)
	}
	if dead := s.DeadLetters(s.t, queueOf(readerService, "good")); len(dead) != 0 {
		s.t.Errorf("%d dead letters of the good reaction", len(dead))
	}
}

func ladderIsClimbedInOrder(s *scene) {
	type call struct {
		attempt    int
		start, end time.Time
	}
	var mu sync.Mutex
	var calls []call
	var told []events.DeadLetter
	sub := reacts("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
		start := time.Now()
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call{e.Attempt, start, time.Now()})
		return fmt.Errorf("failure %d", e.Attempt)
	})
	s.announce(readerService, sub)
	cfg := s.config(readerService)
	cfg.OnDeadLetter = func(_ context.Context, d events.DeadLetter) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, d)
	}
	s.start(cfg, sub)
	sender := s.enter(senderService)
	m := s.message("doomed", noteSent{Note: "note"})
	s.post(sender, m)
	q := queueOf(readerService, "note-sent")
	s.until("a dead letter", func() bool { return len(s.DeadLetters(s.t, q)) > 0 })
	s.drained()

	attempts := len(ladder) + 1
	if dead := s.DeadLetters(s.t, q); len(dead) != 1 || dead[0].Reason != transport.ReasonFailed || dead[0].Attempts != attempts ||
		dead[0].Error != fmt.Sprint("failure ", attempts) || string(dead[0].Body) != string(m.Body) {
		s.t.Errorf("dead letters: %+v", dead)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != attempts {
		s.t.Fatalf("%d attempts, want %d", len(calls), attempts)
	}
	for i, c := range calls {
		if c.attempt != i+1 {
			s.t.Errorf("call %d was attempt %d", i+1, c.attempt)
		}
		if i > 0 {
			// Brokers count in whole milliseconds.
			if waited := c.start.Sub(calls[i-1].end); waited < ladder[i-1]-2*time.Millisecond {
				s.t.Errorf("attempt %d came after %v, the rung is %v", i+1, waited, ladder[i-1])
			}
		}
	}
	if len(told) != 1 || told[0].Metadata.ID != "doomed" || told[0].Attempts != attempts || told[0].Reason != transport.ReasonFailed {
		s.t.Errorf("the hook was told %+v", told)
	}
}

// verdicts has one reaction to whose events different things happen, as their text says.
func verdicts(s *scene) {
	const wait = 150 * time.Millisecond
	var mu sync.Mutex
	attempts := map[string][]int{}
	last := map[string]time.Time{}
	var waited time.Duration
	s.enter(readerService, reacts("note-sent", func(_ context.Context, _ *gorm.DB, e events.Received[noteSent]) error {
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
		case text == "away" && len(attempts[text]) <= 2:
			return events.Unavailable(errors.New("nobody there"))
		case text == "panic" && first:
			panic("ouch")
		}
		return nil
	}))
	sender := s.enter(senderService)

	odd := func(id, from, to string) transport.Message {
		m := s.message(id, noteSent{Note: "note"})
		m.Body = []byte(strings.Replace(string(m.Body), from, to, 1))
		return m
	}
	undecodable := s.message("undecodable", noteSent{Note: "note"})
	undecodable.Body = []byte("no envelope")
	version := odd("version", `"note.sent.v1"`, `"note.sent.v2"`)
	version.Type = "note.sent.v2"
	s.post(sender,
		s.message("fine", noteSent{Note: "note", Text: "fine"}),
		s.message("plain", noteSent{Note: "note", Text: "plain"}),
		s.message("permanent", noteSent{Note: "note", Text: "permanent"}),
		s.message("later", noteSent{Note: "note", Text: "later"}),
		s.message("away", noteSent{Note: "note", Text: "away"}),
		s.message("panic", noteSent{Note: "note", Text: "panic"}),
		undecodable,
		odd("data", `"number":0`, `"number":"none"`),
		version,
		odd("type", `"note.sent.v1"`, `"note.mislaid.v1"`),
	)
	q := queueOf(readerService, "note-sent")
	s.awaitEffects(readerService, "note-sent", 5)
	s.until("dead letters", func() bool { return len(s.DeadLetters(s.t, q)) >= 5 })
	s.drained()
	s.once()

	applied := map[string]int{}
	for _, e := range s.effects(readerService, "note-sent") {
		applied[e.EventID]++
	}
	dead := map[string]DeadLetter{}
	letters := s.DeadLetters(s.t, q)
	for _, d := range letters {
		dead[string(d.Body)] = d
	}
	if len(letters) != 5 {
		s.t.Errorf("%d dead letters, want 5", len(letters))
	}
	for name, want := range map[string][]int{
		"fine": {1}, "plain": {1, 2}, "later": {1, 2}, "away": {1, 1, 1}, "panic": {1, 2},
	} {
		s.t.Run(name, func(t *testing.T) {
			if got := attempts[name]; fmt.Sprint(got) != fmt.Sprint(want) || applied[name] != 1 {
				t.Errorf("attempts %v, want %v; applied %d times", got, want, applied[name])
			}
		})
	}
	s.t.Run("retry after waits", func(t *testing.T) {
		if waited < wait {
			t.Errorf("only %v", waited)
		}
	})
	for name, c := range map[string]struct {
		body   []byte
		reason transport.Reason
		text   string
	}{
		"permanent":            {s.findBody(letters, `"id":"permanent"`), transport.ReasonPermanent, "never"},
		"undecodable envelope": {undecodable.Body, transport.ReasonUndecodable, "invalid character"},
		"undecodable data":     {s.findBody(letters, `"id":"data"`), transport.ReasonUndecodable, "number"},
		"unknown version":      {version.Body, transport.ReasonIncompatible, "note.sent.v2"},
		"unknown type":         {s.findBody(letters, `"id":"type"`), transport.ReasonIncompatible, "note.mislaid.v1"},
	} {
		s.t.Run(name, func(t *testing.T) {
			d, ok := dead[string(c.body)]
			if !ok || d.Reason != c.reason || d.Attempts != 1 || !strings.Contains(d.Error, c.text) {
				t.Errorf("dead letter %+v, want %s at attempt 1", d, c.reason)
			}
		})
	}
}

func (s *scene) findBody(letters []DeadLetter, part string) []byte {
	for _, d := range letters {
		if strings.Contains(string(d.Body), part) {
			return d.Body
		}
	}
	return nil
}

func pauseSpendsNoAttempts(s *scene) {
	var away atomic.Bool
	away.Store(true)
	sub := reacts("note-sent", func(context.Context, *gorm.DB, events.Received[noteSent]) error {
		if away.Load() {
			return events.Unavailable(errors.New("nobody there"))
		}
		return nil
	})
	s.announce(readerService, sub)
	cfg := s.config(readerService)
	cfg.Handlers.PauseLimit = 50 * time.Millisecond
	reader := s.start(cfg, sub)
	sender := s.enter(senderService)
	s.send(sender, notes(5, 5)...)
	// Given back and taken again, more often than the ladder has rungs.
	s.until("deliveries", func() bool { return reader.taken.count("note-sent") >= 5*(len(ladder)+2) })
	away.Store(false)
	s.awaitEffects(readerService, "note-sent", 5)
	s.curtain()
	if n := reader.taken.mostAttempts("note-sent"); n != 1 {
		s.t.Errorf("an attempt was number %d", n)
	}
}
