package carrier

import (
	"cmp"
	"strings"

	"github.com/google/uuid"
)

// bookShipment returns the shipment with the reference of the request, or its rejection. It books the shipment if the
// reference is new; created reports whether it did. The result is on disk when it returns.
func (s *Server) bookShipment(request bookingRequest) (sh *shipment, created bool, rejected *rejection, err error) {
	s.mu.Lock()
	sh, rejected = s.state.byReference(request.Reference), s.state.rejections[request.Reference]
	if sh == nil && rejected == nil {
		e := entry{At: s.now()}
		if detail := request.Address.undeliverable(); detail != "" {
			rejected = &rejection{Reference: request.Reference, Code: "undeliverable", Detail: detail, At: e.At}
			e.Rejection = rejected
		} else {
			sh, created = &shipment{
				ID: "shp_" + newID(), Reference: request.Reference, State: booked, Address: request.Address,
				Items: request.Items, BookedAt: e.At,
			}, true
			e.Shipment = sh
		}
		err = s.record(e)
	}
	s.mu.Unlock()
	if err = cmp.Or(err, s.journal.Flush()); err != nil {
		return nil, false, nil, err
	}
	if created {
		s.wakeTransitions()
	}
	return sh, created, rejected, nil
}

// cancelShipment cancels the shipment if it is booked, and returns it in its new or unchanged state; nil if it does not
// exist. The state is on disk when it returns.
func (s *Server) cancelShipment(id string) (*shipment, error) {
	s.mu.Lock()
	sh, err := s.state.shipments[id], error(nil)
	if sh != nil && sh.State == booked {
		now, next := s.now(), *sh
		next.State, next.CancelledAt = cancelled, &now
		sh = &next
		err = s.record(entry{At: now, Shipment: sh})
	}
	s.mu.Unlock()
	return sh, cmp.Or(err, s.journal.Flush())
}

// record appends e to the journal and applies it to the state. The caller holds the lock, and flushes afterwards.
func (s *Server) record(e entry) error {
	if err := s.journal.Append(e); err != nil {
		return err
	}
	s.state.apply(e)
	return nil
}

// wakeTransitions makes runTransitions check which transitions are due.
func (s *Server) wakeTransitions() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func newID() string { return strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "") }
