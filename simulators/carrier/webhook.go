package carrier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
)

const (
	maxWebhooksInFlight = 16
	webhookTimeout      = 10 * time.Second
	minBackoff          = 100 * time.Millisecond
	maxBackoff          = 5 * time.Second
)

func newWebhookClient() *http.Client {
	return &http.Client{
		Timeout:   webhookTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: maxWebhooksInFlight, IdleConnTimeout: time.Minute},
		// A redirect does not acknowledge a webhook.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// sendWebhook sends w in the background until the receiver acknowledges it or ctx ends.
func (s *Server) sendWebhook(ctx context.Context, w *webhook) {
	if s.cfg.WebhookURL == "" {
		return
	}
	s.workers.Go(func() {
		log := s.cfg.Log.With("webhook", w.ID, "type", w.Type, "reference", w.Reference)
		warned := false
		for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
			err := s.attempt(ctx, w)
			if err == nil {
				s.acknowledge(w)
				return
			}
			if ctx.Err() != nil {
				return
			}
			if backoff == maxBackoff && !warned {
				log.Warn("cannot deliver webhook; retrying", "every", backoff, "error", err)
				warned = true
			}
			select {
			case <-s.cfg.Clock.At(s.cfg.Clock.Now().Add(backoff)):
			case <-ctx.Done():
				return
			}
		}
	})
}

var errDropped = errors.New("dropped by an injected fault")

// attempt sends w once and returns nil if the receiver acknowledged it.
func (s *Server) attempt(ctx context.Context, w *webhook) error {
	request := faults.Request{Operation: opWebhookDelivered, Order: w.Reference}
	if w.Type == "shipment."+dispatched {
		request.Operation = opWebhookDispatched
	}
	if s.faults.Before(ctx, request) == faults.Disconnect {
		return errDropped
	}
	select {
	case s.inFlight <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.post(ctx, w)
	<-s.inFlight
	if s.faults.After(ctx, request) == faults.Disconnect {
		return errDropped
	}
	return err
}

func (s *Server) post(ctx context.Context, w *webhook) error {
	body, err := json.Marshal(w)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Carrier-Signature", signature(s.cfg.WebhookSecret, s.now(), body))
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be reused
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("receiver responded with %s", response.Status)
	}
	return nil
}

// acknowledge records that w was acknowledged. It does not wait for the disk: if the record is lost, w is sent once
// more.
func (s *Server) acknowledge(w *webhook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.record(entry{At: s.now(), Acknowledged: w.ID}); err != nil {
		s.cfg.Log.Error("cannot write journal", "webhook", w.ID, "error", err)
	}
}

// signature returns the value of the header Carrier-Signature for a body that is sent at t.
func signature(secret string, t time.Time, body []byte) string {
	seconds := strconv.FormatInt(t.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
