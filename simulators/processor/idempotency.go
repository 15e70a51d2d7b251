package processor

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// savedResponse is the response that an idempotency key replays.
type savedResponse struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"` // of the request that was executed
	RequestID   string `json:"requestId"`
	response
}

// claim is the right of one request to execute under its idempotency key. Without a key, it has no effect.
type claim struct {
	key, fingerprint, requestID string
}

func newClaim(r *http.Request, f form, requestID string) *claim {
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "\n" + f.values.Encode()))
	return &claim{key: r.Header.Get("Idempotency-Key"), fingerprint: hex.EncodeToString(sum[:]), requestID: requestID}
}

func (c *claim) save(r response) *savedResponse {
	if c.key == "" {
		return nil
	}
	return &savedResponse{Key: c.key, Fingerprint: c.fingerprint, RequestID: c.requestID, response: r}
}

// acquire returns the response saved for the key of c, or nil if c may execute until release. Once a response is saved,
// it can be replayed even while a fault withholds it from the request that was executed.
func (s *Server) acquire(c *claim) (*savedResponse, *apiError) {
	if c.key == "" {
		return nil, nil
	}
	if len(c.key) > 255 {
		return nil, newInvalidRequest(http.StatusBadRequest, "", "", "Idempotency keys are limited to 255 characters.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var fingerprint string
	saved, running := s.state.saved[c.key], s.running[c.key]
	switch {
	case saved != nil:
		fingerprint = saved.Fingerprint
	case running != nil:
		fingerprint = running.fingerprint
	default:
		s.running[c.key] = c
		return nil, nil
	}
	if fingerprint != c.fingerprint {
		return nil, &apiError{
			status: http.StatusBadRequest, Type: "idempotency_error",
			Message: "The idempotency key " + c.key + " was first used with another request or other parameters.",
		}
	}
	if saved == nil {
		return nil, newInvalidRequest(http.StatusConflict, "idempotency_key_in_use", "",
			"Another request with the idempotency key "+c.key+" is still running.")
	}
	return saved, nil
}

// release ends the claim. It is called before the response is written, so that the client can retry immediately.
func (s *Server) release(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[c.key] == c {
		delete(s.running, c.key)
	}
}

// purgeKeys purges all idempotency keys, as Stripe does a day or more after their first use.
func (s *Server) purgeKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	e := entry{At: s.now(), Operation: opPurgeKeys}
	err := s.journal.Append(e)
	if err == nil {
		s.state.apply(e)
	}
	s.mu.Unlock()
	if err == nil {
		err = s.journal.Flush()
	}
	if err != nil {
		wire.WriteError(w, http.StatusInternalServerError, "journal_failed", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
