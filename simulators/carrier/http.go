package carrier

import (
	"errors"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// The operations that a switch can name.
const (
	opBook              = "book"
	opRetrieve          = "retrieve"
	opCancel            = "cancel"
	opWebhookDispatched = "webhook_dispatched"
	opWebhookDelivered  = "webhook_delivered"
	opHandOver          = "hand_over"
	opDeliver           = "deliver"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/shipments", s.postShipment)
	mux.HandleFunc("GET /v1/shipments", s.listShipments)
	mux.HandleFunc("GET /v1/shipments/{id}", s.getShipment)
	mux.HandleFunc("POST /v1/shipments/{id}/cancel", s.postCancel)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		wire.WriteError(w, http.StatusNotFound, "not_found", "nothing answers to "+r.Method+" "+r.URL.Path+" here")
	})
	return mux
}

type bookRequest struct {
	Reference string  `json:"reference"`
	Address   address `json:"address"`
	Items     []item  `json:"items"`
}

func (b bookRequest) validate() error {
	var mistakes []error
	if b.Reference == "" || len(b.Reference) > 200 {
		mistakes = append(mistakes, errors.New("reference is required, at most 200 characters long"))
	}
	if len(b.Items) == 0 {
		mistakes = append(mistakes, errors.New("items is empty"))
	}
	for _, i := range b.Items {
		if i.SKU == "" || i.Quantity < 1 {
			mistakes = append(mistakes, errors.New("each item needs a sku and a positive quantity"))
			break
		}
	}
	return errors.Join(mistakes...)
}

func (s *Server) postShipment(w http.ResponseWriter, r *http.Request) {
	var request bookRequest
	if err := wire.ReadJSON(w, r, &request); err != nil {
		wire.WriteError(w, wire.Status(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	if err := request.validate(); err != nil {
		wire.WriteError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	s.answer(w, r, switches.Request{Operation: opBook, Order: request.Reference}, func() (int, any, error) {
		sh, made, refused, err := s.bookShipment(request)
		switch {
		case err != nil:
			return 0, nil, err
		case refused != nil:
			return http.StatusUnprocessableEntity, wire.Error{Code: refused.Code, Detail: refused.Detail}, nil
		case made:
			return http.StatusCreated, sh, nil
		default:
			return http.StatusOK, sh, nil
		}
	})
}

func (s *Server) getShipment(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.answer(w, r, switches.Request{Operation: opRetrieve, Order: s.referenceOf(id)}, func() (int, any, error) {
		s.mu.Lock()
		sh := s.state.shipments[id]
		s.mu.Unlock()
		if sh == nil {
			return notFound()
		}
		return http.StatusOK, sh, s.book.Flush()
	})
}

// listShipments answers a list of the one shipment with the reference, or of none.
func (s *Server) listShipments(w http.ResponseWriter, r *http.Request) {
	reference := r.URL.Query().Get("reference")
	if reference == "" {
		wire.WriteError(w, http.StatusBadRequest, "invalid_request", "reference is required")
		return
	}
	s.answer(w, r, switches.Request{Operation: opRetrieve, Order: reference}, func() (int, any, error) {
		found := []*shipment{}
		s.mu.Lock()
		if sh := s.state.byReference(reference); sh != nil {
			found = append(found, sh)
		}
		s.mu.Unlock()
		return http.StatusOK, map[string]any{"shipments": found}, s.book.Flush()
	})
}

func (s *Server) postCancel(w http.ResponseWriter, r *http.Request) {
	if _, err := wire.ReadBody(w, r); err != nil {
		wire.WriteError(w, wire.Status(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	id := r.PathValue("id")
	s.answer(w, r, switches.Request{Operation: opCancel, Order: s.referenceOf(id)}, func() (int, any, error) {
		sh, err := s.cancelShipment(id)
		switch {
		case err != nil:
			return 0, nil, err
		case sh == nil:
			return notFound()
		case sh.State == cancelled:
			return http.StatusOK, sh, nil
		default:
			return http.StatusConflict, tooLate{
				Error:    wire.Error{Code: "dispatched", Detail: "the shipment was handed over already"},
				shipment: sh,
			}, nil
		}
	})
}

// tooLate is the refusal of a cancellation: an error and the shipment in one object.
type tooLate struct {
	wire.Error
	*shipment
}

func notFound() (int, any, error) {
	return http.StatusNotFound, wire.Error{Code: "not_found", Detail: "no such shipment"}, nil
}

// answer has do done, with the switches before and after it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, request switches.Request, do func() (int, any, error)) {
	var status int
	var body any
	verdict := s.switches.Before(r.Context(), request)
	switch verdict {
	case switches.HangUp:
		wire.HangUp(w)
		return
	case switches.AnswerBusy:
		status, body = http.StatusServiceUnavailable, wire.Error{Code: "unavailable", Detail: "the carrier is unavailable; nothing was done"}
	case switches.AnswerFailed:
		status, body = http.StatusInternalServerError, wire.Error{Code: "internal", Detail: "the carrier failed, on request"}
	default:
		var err error
		if status, body, err = do(); err != nil {
			s.cfg.Log.Error("the book failed", "operation", request.Operation, "error", err)
			status, body = http.StatusInternalServerError, wire.Error{Code: "book_failed", Detail: "the carrier could not write its book"}
		} else if verdict == switches.FailAfterEffect {
			status, body = http.StatusInternalServerError, wire.Error{Code: "internal", Detail: "the carrier failed, on request, after it did what was asked"}
		}
	}
	if s.switches.After(r.Context(), request) == switches.HangUp {
		wire.HangUp(w)
		return
	}
	wire.WriteJSON(w, status, body)
}

func (s *Server) referenceOf(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.state.shipments[id]; sh != nil {
		return sh.Reference
	}
	return ""
}
