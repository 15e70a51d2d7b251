package processor

import (
	"net/http"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// The operations that a switch can name.
const (
	opCreate   = "create"
	opRetrieve = "retrieve"
	opConfirm  = "confirm"
	opCancel   = "cancel"
	opRefund   = "refund"
)

// command is a valid request that has not been executed yet.
type command struct {
	operation string
	order     func(*state) string
	execute   func(*state, time.Time) effect
}

// effect is what an execution comes to: the intent as it is from now on, unless nothing changes, and what to answer.
type effect struct {
	intent *intent
	body   any
	err    *apiError
}

func (e effect) answer() answer {
	if e.err != nil {
		return e.err.answer()
	}
	return newAnswer(http.StatusOK, e.body)
}

// write handles a request that may change something. Switches act inside the claim of its idempotency key, so that a
// held request keeps its key in use.
func (s *Server) write(parse func(id string, f form) (command, *apiError)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readForm(w, r)
		if err != nil {
			writeError(w, err)
			return
		}
		cmd, err := parse(r.PathValue("id"), f)
		if err != nil {
			writeError(w, err)
			return
		}
		c := newClaim(r, f, w.Header().Get("Request-Id"))
		saved, err := s.acquire(c)
		if err != nil {
			writeError(w, err)
			return
		}
		request := switches.Request{Operation: cmd.operation, Order: s.orderOf(cmd), Replay: saved != nil}
		verdict := s.switches.Before(r.Context(), request)
		if verdict == switches.HangUp {
			s.release(c)
			wire.HangUp(w)
			return
		}
		if verdict == switches.AnswerBusy {
			s.release(c)
			writeError(w, unavailable())
			return
		}
		out, failure := s.settle(cmd, c, saved, verdict)
		s.release(c)
		if failure != nil {
			s.cfg.Log.Error("the book failed", "operation", cmd.operation, "error", failure)
			writeError(w, internalError("The processor could not write its book."))
			return
		}
		if s.switches.After(r.Context(), request) == switches.HangUp {
			wire.HangUp(w)
			return
		}
		if c.key != "" {
			w.Header().Set("Idempotency-Key", c.key)
		}
		if saved != nil {
			w.Header().Set("Idempotent-Replayed", "true")
			w.Header().Set("Original-Request", saved.RequestID)
		}
		out.write(w)
	}
}

// settle gives the saved answer, or executes cmd for one. Whatever the answer rests on is on disk when it returns.
func (s *Server) settle(cmd command, c *claim, saved *savedAnswer, verdict switches.Verdict) (answer, error) {
	if saved != nil {
		return saved.answer, s.book.Flush()
	}
	out, err := s.execute(cmd, c, verdict)
	if err != nil {
		return answer{}, err
	}
	return out, s.book.Flush()
}

func (s *Server) execute(cmd command, c *claim, verdict switches.Verdict) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	result := effect{err: internalError("The processor failed, on request.")}
	if verdict != switches.AnswerFailed {
		result = cmd.execute(s.state, now)
	}
	if verdict == switches.FailAfterEffect {
		result.err = internalError("The processor failed, on request, after it did what was asked.")
	}
	out := result.answer()
	e := entry{At: now, Operation: cmd.operation, Intent: result.intent, Saved: c.save(out)}
	if e.Intent == nil && e.Saved == nil {
		return out, nil
	}
	if err := s.book.Append(e); err != nil {
		return answer{}, err
	}
	s.state.apply(e)
	return out, nil
}

// read handles a request that changes nothing. What it saw is on disk before it is answered.
func (s *Server) read(look func(st *state, id string, f form) (body any, order string, err *apiError)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, _ := readForm(w, r)
		see := func() (any, string, *apiError) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return look(s.state, r.PathValue("id"), f)
		}
		_, order, _ := see()
		request := switches.Request{Operation: opRetrieve, Order: order}
		verdict := s.switches.Before(r.Context(), request)
		body, _, err := see()
		if flushed := s.book.Flush(); flushed != nil {
			err = internalError("The processor could not write its book.")
		}
		if verdict == switches.HangUp || s.switches.After(r.Context(), request) == switches.HangUp {
			wire.HangUp(w)
			return
		}
		switch {
		case verdict == switches.AnswerBusy:
			err = unavailable()
		case verdict == switches.AnswerFailed || verdict == switches.FailAfterEffect:
			err = internalError("The processor failed, on request.")
		}
		effect{body: body, err: err}.answer().write(w)
	}
}

func (s *Server) orderOf(cmd command) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmd.order(s.state)
}
