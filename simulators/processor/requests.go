package processor

import (
	"net/http"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// The operations that a fault can match.
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
	orderID   func(*state) string
	execute   func(*state, time.Time) result
}

// result is the result of an execution: the new version of the intent, or nil if it is unchanged, and the response.
type result struct {
	intent *intent
	body   any
	err    *apiError
}

func (r result) response() response {
	if r.err != nil {
		return r.err.response()
	}
	return newResponse(http.StatusOK, r.body)
}

// handleWrite returns the handler of a request that may change the state. Faults act while the claim is held, so that
// the idempotency key of a paused request stays in use.
func (s *Server) handleWrite(parse func(id string, f form) (command, *apiError)) http.HandlerFunc {
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
		request := faults.Request{Operation: cmd.operation, Order: s.orderIDFor(cmd), Replay: saved != nil}
		decision := s.faults.Before(r.Context(), request)
		switch decision { //nolint:exhaustive // the other decisions are about the execution
		case faults.Disconnect, faults.RespondNonsense:
			s.release(c)
			wire.Interrupt(w, decision)
			return
		case faults.RespondUnavailable:
			s.release(c)
			writeError(w, newUnavailable())
			return
		}
		response, failure := s.replayOrExecute(cmd, c, saved, decision)
		s.release(c)
		if failure != nil {
			s.cfg.Log.Error("cannot write journal", "operation", cmd.operation, "error", failure)
			writeError(w, newJournalError())
			return
		}
		if wire.Interrupt(w, s.faults.After(r.Context(), request)) {
			return
		}
		if c.key != "" {
			w.Header().Set("Idempotency-Key", c.key)
		}
		if saved != nil {
			w.Header().Set("Idempotent-Replayed", "true")
			w.Header().Set("Original-Request", saved.RequestID)
		}
		response.write(w)
	}
}

// replayOrExecute returns the saved response, or executes cmd. The state behind the response is on disk when it
// returns.
func (s *Server) replayOrExecute(cmd command, c *claim, saved *savedResponse, decision faults.Decision) (response, error) {
	if saved != nil {
		return saved.response, s.journal.Flush()
	}
	r, err := s.execute(cmd, c, decision)
	if err != nil {
		return response{}, err
	}
	return r, s.journal.Flush()
}

func (s *Server) execute(cmd command, c *claim, decision faults.Decision) (response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	executed := result{err: newInternalError("Injected fault: the request had no effect.")}
	if decision != faults.RespondError {
		executed = cmd.execute(s.state, now)
	}
	if decision == faults.RespondErrorAfter {
		executed.err = newInternalError("Injected fault: the request was executed.")
	}
	r := executed.response()
	e := entry{At: now, Operation: cmd.operation, Intent: executed.intent, Saved: c.save(r)}
	if e.Intent == nil && e.Saved == nil {
		return r, nil
	}
	if err := s.journal.Append(e); err != nil {
		return response{}, err
	}
	s.state.apply(e)
	return r, nil
}

// handleRead returns the handler of a request that does not change the state. The state behind the response is on disk
// before the response is written.
func (s *Server) handleRead(read func(st *state, id string, f form) (body any, orderID string, err *apiError)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, _ := readForm(w, r)
		readLocked := func() (any, string, *apiError) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return read(s.state, r.PathValue("id"), f)
		}
		_, orderID, _ := readLocked()
		request := faults.Request{Operation: opRetrieve, Order: orderID}
		decision := s.faults.Before(r.Context(), request)
		body, _, err := readLocked()
		if failure := s.journal.Flush(); failure != nil {
			err = newJournalError()
		}
		if wire.Interrupt(w, decision) || wire.Interrupt(w, s.faults.After(r.Context(), request)) {
			return
		}
		switch decision { //nolint:exhaustive // the other decisions change no response
		case faults.RespondUnavailable:
			err = newUnavailable()
		case faults.RespondError, faults.RespondErrorAfter:
			err = newInternalError("Injected fault.")
		}
		result{body: body, err: err}.response().write(w)
	}
}

func (s *Server) orderIDFor(cmd command) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmd.orderID(s.state)
}
