package carrier

import (
	"cmp"
	"strings"

	"github.com/google/uuid"
)

// bookShipment gives the shipment of a reference, made now if it is new, or the refusal of it. It is on disk when it
// returns.
func (s *Server) bookShipment(request bookRequest) (sh *shipment, made bool, refused *refusal, err error) {
	s.mu.Lock()
	sh, refused = s.state.byReference(request.Reference), s.state.refusals[request.Reference]
	if sh == nil && refused == nil {
		e := entry{At: s.now()}
		if detail := request.Address.undeliverable(); detail != "" {
			refused = &refusal{Reference: request.Reference, Code: "undeliverable", Detail: detail, At: e.At}
			e.Refusal = refused
		} else {
			sh, made = &shipment{
				ID: "shp_" + newID(), Reference: request.Reference, State: booked, Address: request.Address,
				Items: request.Items, BookedAt: e.At,
			}, true
			e.Shipment = sh
		}
		err = s.record(e)
	}
	s.mu.Unlock()
	if err = cmp.Or(err, s.book.Flush()); err != nil {
		return nil, false, nil, err
	}
	if made {
		s.somethingNew()
	}
	return sh, made, refused, nil
}

// cancelShipment cancels what is not handed over yet, and gives the shipment as it is then; nil if there is none. It is
// on disk when it returns.
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
	return sh, cmp.Or(err, s.book.Flush())
}

// record writes e to the book and takes it over into the state. The caller holds the lock, and flushes afterwards.
func (s *Server) record(e entry) error {
	if err := s.book.Append(e); err != nil {
		return err
	}
	s.state.apply(e)
	return nil
}

func (s *Server) somethingNew() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func newID() string { return strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "") }
