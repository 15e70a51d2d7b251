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

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
)

const (
	maxSending     = 16               // reports under way at once
	answerTime     = 10 * time.Second // for one answer
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 5 * time.Second
)

func newWebhookClient() *http.Client {
	return &http.Client{
		Timeout:   answerTime,
		Transport: &http.Transport{MaxIdleConnsPerHost: maxSending, IdleConnTimeout: time.Minute},
		// A receiver that sends us elsewhere has not taken the report.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// report sends n in the background until it is taken or ctx ends.
func (s *Server) report(ctx context.Context, n *notice) {
	if s.cfg.WebhookURL == "" {
		return
	}
	s.workers.Go(func() {
		log := s.cfg.Log.With("notice", n.ID, "type", n.Type, "reference", n.Reference)
		warned := false
		for backoff := firstBackoff; ; backoff = min(2*backoff, longestBackoff) {
			err := s.attempt(ctx, n)
			if err == nil {
				s.taken(n)
				return
			}
			if ctx.Err() != nil {
				return
			}
			if backoff == longestBackoff && !warned {
				log.Warn("nobody takes the report; trying on", "every", backoff, "error", err)
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

var errCut = errors.New("cut off by a switch")

// attempt sends n once; nil says that it was taken.
func (s *Server) attempt(ctx context.Context, n *notice) error {
	request := switches.Request{Operation: opWebhookDelivered, Order: n.Reference}
	if n.Type == "shipment."+dispatched {
		request.Operation = opWebhookDispatched
	}
	if s.switches.Before(ctx, request) == switches.HangUp {
		return errCut
	}
	select {
	case s.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.send(ctx, n)
	<-s.sending
	if s.switches.After(ctx, request) == switches.HangUp {
		return errCut
	}
	return err
}

func (s *Server) send(ctx context.Context, n *notice) error {
	body, err := json.Marshal(n)
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
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", response.Status)
	}
	return nil
}

// taken notes that n need not be sent again. It does not wait for the disk: if the note is lost, n is sent once more.
func (s *Server) taken(n *notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.record(entry{At: s.now(), Reported: n.ID}); err != nil {
		s.cfg.Log.Error("the book failed", "notice", n.ID, "error", err)
	}
}

// signature is the header that proves that body was sent at t by someone who knows secret.
func signature(secret string, t time.Time, body []byte) string {
	seconds := strconv.FormatInt(t.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
