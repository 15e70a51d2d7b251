package carrier

import (
	"errors"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// The operations that a fault can match.
const (
	opBook              = "book"
	opRetrieve          = "retrieve"
	opCancel            = "cancel"
	opWebhookDispatched = "webhook_dispatched"
	opWebhookDelivered  = "webhook_delivered"
	opDispatch          = "dispatch"
	opDeliver           = "deliver"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/shipments", s.postShipment)
	mux.HandleFunc("GET /v1/shipments", s.listShipments)
	mux.HandleFunc("GET /v1/shipments/{id}", s.getShipment)
	mux.HandleFunc("POST /v1/shipments/{id}/cancel", s.postCancel)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		wire.WriteError(w, http.StatusNotFound, "not_found", "no such endpoint: "+r.Method+" "+r.URL.Path)
	})
	return mux
}

type bookingRequest struct {
	Reference string  `json:"reference"`
	Address   address `json:"address"`
	Items     []item  `json:"items"`
}

func (b bookingRequest) validate() error {
	var errs []error
	if b.Reference == "" || len(b.Reference) > 200 {
		errs = append(errs, errors.New("reference must have 1 to 200 characters"))
	}
	if len(b.Items) == 0 {
		errs = append(errs, errors.New("items is empty"))
	}
	for _, i := range b.Items {
		if i.SKU == "" || i.Quantity < 1 {
			errs = append(errs, errors.New("each item requires a sku and a positive quantity"))
			break
		}
	}
	return errors.Join(errs...)
}

func (s *Server) postShipment(w http.ResponseWriter, r *http.Request) {
	var request bookingRequest
	if err := wire.ReadJSON(w, r, &request); err != nil {
		wire.WriteError(w, wire.StatusFor(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	if err := request.validate(); err != nil {
		wire.WriteError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	s.respond(w, r, faults.Request{Operation: opBook, Order: request.Reference}, func() (int, any, error) {
		sh, created, rejected, err := s.bookShipment(request)
		switch {
		case err != nil:
			return 0, nil, err
		case rejected != nil:
			return http.StatusUnprocessableEntity, wire.Error{Code: rejected.Code, Detail: rejected.Detail}, nil
		case created:
			return http.StatusCreated, sh, nil
		default:
			return http.StatusOK, sh, nil
		}
	})
}

func (s *Server) getShipment(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.respond(w, r, faults.Request{Operation: opRetrieve, Order: s.reference(id)}, func() (int, any, error) {
		s.mu.Lock()
		sh := s.state.shipments[id]
		s.mu.Unlock()
		if sh == nil {
			return shipmentNotFound()
		}
		return http.StatusOK, sh, s.journal.Flush()
	})
}

// listShipments responds with a list that holds the shipment with the reference, if there is one.
func (s *Server) listShipments(w http.ResponseWriter, r *http.Request) {
	reference := r.URL.Query().Get("reference")
	if reference == "" {
		wire.WriteError(w, http.StatusBadRequest, "invalid_request", "reference is required")
		return
	}
	s.respond(w, r, faults.Request{Operation: opRetrieve, Order: reference}, func() (int, any, error) {
		found := []*shipment{}
		s.mu.Lock()
		if sh := s.state.byReference(reference); sh != nil {
			found = append(found, sh)
		}
		s.mu.Unlock()
		return http.StatusOK, map[string]any{"shipments": found}, s.journal.Flush()
	})
}

func (s *Server) postCancel(w http.ResponseWriter, r *http.Request) {
	if _, err := wire.ReadBody(w, r); err != nil {
		wire.WriteError(w, wire.StatusFor(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	id := r.PathValue("id")
	s.respond(w, r, faults.Request{Operation: opCancel, Order: s.reference(id)}, func() (int, any, error) {
		sh, err := s.cancelShipment(id)
		switch {
		case err != nil:
			return 0, nil, err
		case sh == nil:
			return shipmentNotFound()
		case sh.State == cancelled:
			return http.StatusOK, sh, nil
		default:
			return http.StatusConflict, cancelRejection{
				Error:    wire.Error{Code: "dispatched", Detail: "the shipment is already dispatched"},
				shipment: sh,
			}, nil
		}
	})
}

// cancelRejection is the response to a cancellation that is too late: an error and the shipment in one object.
type cancelRejection struct {
	wire.Error
	*shipment
}

func shipmentNotFound() (int, any, error) {
	return http.StatusNotFound, wire.Error{Code: "not_found", Detail: "no such shipment"}, nil
}

// respond calls execute and writes its response, and injects faults before and after the effect.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, request faults.Request, execute func() (int, any, error)) {
	var status int
	var body any
	decision := s.faults.Before(r.Context(), request)
	if wire.Interrupt(w, decision) {
		return
	}
	switch decision {
	case faults.RespondUnavailable:
		status = http.StatusServiceUnavailable
		body = wire.Error{Code: "unavailable", Detail: "the carrier is unavailable; the request had no effect"}
	case faults.RespondError:
		status = http.StatusInternalServerError
		body = wire.Error{Code: "internal", Detail: "injected fault: the request had no effect"}
	default:
		var err error
		if status, body, err = execute(); err != nil {
			s.cfg.Log.Error("cannot write journal", "operation", request.Operation, "error", err)
			status = http.StatusInternalServerError
			body = wire.Error{Code: "journal_failed", Detail: "the carrier could not write its journal"}
		} else if decision == faults.RespondErrorAfter {
			status = http.StatusInternalServerError
			body = wire.Error{Code: "internal", Detail: "injected fault: the request was executed"}
		}
	}
	if wire.Interrupt(w, s.faults.After(r.Context(), request)) {
		return
	}
	wire.WriteJSON(w, status, body)
}

// reference returns the reference of a shipment, or "" if it does not exist.
func (s *Server) reference(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.state.shipments[id]; sh != nil {
		return sh.Reference
	}
	return ""
}
