package carrier

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
)

// moveParcels hands over and delivers what is due, until ctx ends or the book fails.
func (s *Server) moveParcels(ctx context.Context) {
	for {
		notices, next, err := s.step()
		if err != nil {
			s.cfg.Log.Error("the book failed; parcels stand still", "error", err)
			return
		}
		for _, n := range notices {
			s.report(ctx, n)
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

// step moves every parcel that is due by now and says what to report, and when the next one is due; zero if none waits.
// The moves are on disk when it returns.
func (s *Server) step() (notices []*notice, next time.Time, err error) {
	s.mu.Lock()
	now := s.now()
	// Delivery comes second, so that it also finds what is handed over now.
	handover, err := s.move(opHandOver, &s.state.toHandOver, booked, now, &notices)
	delivery, err2 := s.move(opDeliver, &s.state.toDeliver, dispatched, now, &notices)
	s.mu.Unlock()

	next = handover
	if next.IsZero() || !delivery.IsZero() && delivery.Before(next) {
		next = delivery
	}
	return notices, next, cmp.Or(err, err2, s.book.Flush())
}

// move takes from the head of queue what is due and not held by a switch, and gives the moment at which the rest's head
// will be.
func (s *Server) move(op string, queue *[]string, from string, now time.Time, notices *[]*notice) (next time.Time, err error) {
	var held []string
	defer func() {
		if len(held) > 0 {
			*queue = append(held, *queue...)
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
		if s.switches.Holds(switches.Request{Operation: op, Order: sh.Reference}) {
			held = append(held, sh.ID)
			continue
		}
		moved, n := sh.moved(now)
		if err := s.record(entry{At: now, Shipment: moved, Notice: n}); err != nil {
			return time.Time{}, err
		}
		*notices = append(*notices, n)
	}
	return time.Time{}, nil
}

func (s *Server) due(sh *shipment) time.Time {
	if sh.State == booked {
		return sh.BookedAt.Add(s.cfg.HandoverDelay)
	}
	return sh.DispatchedAt.Add(s.cfg.DeliveryDelay)
}

// moved is the shipment one step further, and the notice of it.
func (sh shipment) moved(now time.Time) (*shipment, *notice) {
	if sh.State == booked {
		sh.State, sh.DispatchedAt = dispatched, &now
		sh.Tracking = "QD" + strings.ToUpper(sh.ID[len(sh.ID)-12:])
	} else {
		sh.State, sh.DeliveredAt = delivered, &now
	}
	return &sh, &notice{
		ID: newID(), Type: "shipment." + sh.State, Reference: sh.Reference, ShipmentID: sh.ID, Tracking: sh.Tracking,
		OccurredAt: now,
	}
}
