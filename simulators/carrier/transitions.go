package carrier

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
)

// runTransitions dispatches and delivers shipments when they are due, until ctx ends or the journal fails.
func (s *Server) runTransitions(ctx context.Context) {
	for {
		webhooks, next, err := s.advance()
		if err != nil {
			s.cfg.Log.Error("cannot write journal; shipments are no longer dispatched or delivered", "error", err)
			return
		}
		for _, w := range webhooks {
			s.sendWebhook(ctx, w)
		}
		var due <-chan time.Time
		if !next.IsZero() {
			due = s.cfg.Clock.At(next)
		}
		select {
		case <-due:
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

// advance makes every transition that is due. It returns the webhooks to send, and the time at which the next
// transition is due, or the zero time if none is pending. The transitions are on disk when it returns.
func (s *Server) advance() (webhooks []*webhook, next time.Time, err error) {
	s.mu.Lock()
	now := s.now()
	// Deliveries come second, so that they include shipments that are dispatched by this call.
	dispatch, err := s.advanceQueue(opDispatch, &s.state.toDispatch, booked, now, &webhooks)
	delivery, err2 := s.advanceQueue(opDeliver, &s.state.toDeliver, dispatched, now, &webhooks)
	s.mu.Unlock()

	next = dispatch
	if next.IsZero() || !delivery.IsZero() && delivery.Before(next) {
		next = delivery
	}
	return webhooks, next, cmp.Or(err, err2, s.journal.Flush())
}

// advanceQueue makes the transitions at the head of queue that are due and that no fault pauses. It returns the time at
// which the next one is due.
func (s *Server) advanceQueue(
	op string, queue *[]string, from string, now time.Time, webhooks *[]*webhook,
) (next time.Time, err error) {
	var paused []string
	defer func() {
		if len(paused) > 0 {
			*queue = append(paused, *queue...)
		}
	}()
	for ; len(*queue) > 0; *queue = (*queue)[1:] {
		sh := s.state.shipments[(*queue)[0]]
		if sh.State != from {
			continue
		}
		if due := s.due(sh); due.After(now) {
			return due, nil
		}
		if s.faults.Paused(faults.Request{Operation: op, Order: sh.Reference}) {
			paused = append(paused, sh.ID)
			continue
		}
		advanced, w := sh.advance(now)
		if err := s.record(entry{At: now, Shipment: advanced, Webhook: w}); err != nil {
			return time.Time{}, err
		}
		*webhooks = append(*webhooks, w)
	}
	return time.Time{}, nil
}

// due returns the time at which the next transition of a booked or dispatched shipment is due.
func (s *Server) due(sh *shipment) time.Time {
	if sh.State == booked {
		return sh.BookedAt.Add(s.cfg.DispatchDelay)
	}
	return sh.DispatchedAt.Add(s.cfg.DeliveryDelay)
}

// advance returns the shipment after its next transition, and the webhook that reports it.
func (sh shipment) advance(now time.Time) (*shipment, *webhook) {
	if sh.State == booked {
		sh.State, sh.DispatchedAt = dispatched, &now
		sh.Tracking = "QD" + strings.ToUpper(sh.ID[len(sh.ID)-12:])
	} else {
		sh.State, sh.DeliveredAt = delivered, &now
	}
	return &sh, &webhook{
		ID: newID(), Type: "shipment." + sh.State, Reference: sh.Reference, ShipmentID: sh.ID, Tracking: sh.Tracking,
		OccurredAt: now,
	}
}
