package processor

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// savedAnswer is what an idempotency key answers.
type savedAnswer struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"` // of the request that was executed
	RequestID   string `json:"requestId"`
	answer
}

// claim is one request's right to execute under its key. Without a key it claims nothing.
type claim struct {
	key, fingerprint, requestID string
}

func newClaim(r *http.Request, f form, requestID string) *claim {
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "\n" + f.values.Encode()))
	return &claim{key: r.Header.Get("Idempotency-Key"), fingerprint: hex.EncodeToString(sum[:]), requestID: requestID}
}

func (c *claim) save(a answer) *savedAnswer {
	if c.key == "" {
		return nil
	}
	return &savedAnswer{Key: c.key, Fingerprint: c.fingerprint, RequestID: c.requestID, answer: a}
}

// acquire gives the answer that is saved for the claim's key, or else the right to execute, until release. A request
// whose answer is saved but withheld by a switch does not stand in the way of its replay.
func (s *Server) acquire(c *claim) (*savedAnswer, *apiError) {
	if c.key == "" {
		return nil, nil
	}
	if len(c.key) > 255 {
		return nil, invalid(http.StatusBadRequest, "", "", "An idempotency key is at most 255 characters long.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := ""
	saved, running := s.state.saved[c.key], s.running[c.key]
	switch {
	case saved != nil:
		known = saved.Fingerprint
	case running != nil:
		known = running.fingerprint
	default:
		s.running[c.key] = c
		return nil, nil
	}
	if known != c.fingerprint {
		return nil, &apiError{
			status: http.StatusBadRequest, Type: "idempotency_error",
			Message: "The idempotency key " + c.key + " was first used with another request or other parameters.",
		}
	}
	if saved == nil {
		return nil, invalid(http.StatusConflict, "idempotency_key_in_use", "",
			"Another request with the idempotency key "+c.key+" is still running.")
	}
	return saved, nil
}

// release comes before the client hears anything, so that it may try again at once.
func (s *Server) release(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[c.key] == c {
		delete(s.running, c.key)
	}
}

// forgetKeys lets every key be used anew, as happens a day or more after its first use.
func (s *Server) forgetKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	e := entry{At: s.now(), Operation: opForget}
	err := s.book.Append(e)
	if err == nil {
		s.state.apply(e)
	}
	s.mu.Unlock()
	if err == nil {
		err = s.book.Flush()
	}
	if err != nil {
		wire.WriteError(w, http.StatusInternalServerError, "book_failed", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
