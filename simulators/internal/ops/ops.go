// Package ops serves the operators' endpoints of a simulator: its audit snapshot and its faults, behind a bearer token.
package ops

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// Handler returns a handler for /livez, which is public, and for /ops/audit and /ops/faults, which require token as a
// bearer token. With an empty token these reject every request. Audit returns the audit snapshot of one order, or of
// all orders if order is "". Routes are further protected endpoints, by pattern.
func Handler(
	token string, injector *faults.Injector, audit func(order string) (any, error), routes map[string]http.HandlerFunc,
) http.Handler {
	f := faultsHandler{injector}
	protected := http.NewServeMux()
	protected.HandleFunc("GET /ops/audit", func(w http.ResponseWriter, r *http.Request) {
		snapshot, err := audit(r.URL.Query().Get("order"))
		if err != nil {
			wire.WriteError(w, http.StatusInternalServerError, "journal_failed", err.Error())
			return
		}
		wire.WriteJSON(w, http.StatusOK, snapshot)
	})
	protected.HandleFunc("GET /ops/faults", f.list)
	protected.HandleFunc("PUT /ops/faults", f.replace)
	protected.HandleFunc("POST /ops/faults", f.add)
	protected.HandleFunc("DELETE /ops/faults", f.removeAll)
	protected.HandleFunc("DELETE /ops/faults/{id}", f.remove)
	for pattern, handler := range routes {
		protected.HandleFunc(pattern, handler)
	}

	public := http.NewServeMux()
	public.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		wire.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	public.Handle("/ops/", requireToken(token, protected))
	return public
}

func requireToken(token string, next http.Handler) http.Handler {
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			wire.WriteError(w, http.StatusUnauthorized, "unauthorized", "the operators' token is missing or wrong")
			return
		}
		next.ServeHTTP(w, r)
	})
}

type faultsHandler struct{ injector *faults.Injector }

func (h faultsHandler) list(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusOK, map[string]any{"faults": h.injector.Faults()})
}

func (h faultsHandler) replace(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Faults []faults.Fault `json:"faults"`
	}
	if err := wire.ReadJSON(w, r, &body); err != nil {
		wire.WriteError(w, wire.StatusFor(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	if err := h.injector.Replace(body.Faults); err != nil {
		writeFaultError(w, err)
		return
	}
	h.list(w, r)
}

func (h faultsHandler) add(w http.ResponseWriter, r *http.Request) {
	var fault faults.Fault
	if err := wire.ReadJSON(w, r, &fault); err != nil {
		wire.WriteError(w, wire.StatusFor(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	added, err := h.injector.Add(fault)
	if err != nil {
		writeFaultError(w, err)
		return
	}
	wire.WriteJSON(w, http.StatusCreated, added)
}

func (h faultsHandler) removeAll(w http.ResponseWriter, r *http.Request) {
	if err := h.injector.Replace(nil); err != nil {
		writeFaultError(w, err)
		return
	}
	h.list(w, r)
}

func (h faultsHandler) remove(w http.ResponseWriter, r *http.Request) {
	found, err := h.injector.Remove(r.PathValue("id"))
	switch {
	case err != nil:
		writeFaultError(w, err)
	case !found:
		wire.WriteError(w, http.StatusNotFound, "not_found", "no such fault")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func writeFaultError(w http.ResponseWriter, err error) {
	if invalid := (faults.InvalidError{}); errors.As(err, &invalid) {
		wire.WriteError(w, http.StatusUnprocessableEntity, "invalid_fault", err.Error())
		return
	}
	wire.WriteError(w, http.StatusInternalServerError, "internal", err.Error())
}
