// Package ops is the operator's side of a simulator: its books and its switches, behind a bearer token.
package ops

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// Handler serves /livez to everybody and /ops/books and /ops/switches to those who show token. An empty token lets
// nobody in. Books is given the order to show, or "" for all. Routes are more of the simulator's own, by pattern.
func Handler(token string, set *switches.Set, books func(order string) (any, error), routes map[string]http.HandlerFunc) http.Handler {
	console := switchboard{set}
	private := http.NewServeMux()
	private.HandleFunc("GET /ops/books", func(w http.ResponseWriter, r *http.Request) {
		shown, err := books(r.URL.Query().Get("order"))
		if err != nil {
			wire.WriteError(w, http.StatusInternalServerError, "book_failed", err.Error())
			return
		}
		wire.WriteJSON(w, http.StatusOK, shown)
	})
	private.HandleFunc("GET /ops/switches", console.list)
	private.HandleFunc("PUT /ops/switches", console.replace)
	private.HandleFunc("POST /ops/switches", console.add)
	private.HandleFunc("DELETE /ops/switches", console.reset)
	private.HandleFunc("DELETE /ops/switches/{id}", console.remove)
	for pattern, handler := range routes {
		private.HandleFunc(pattern, handler)
	}

	public := http.NewServeMux()
	public.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		wire.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	public.Handle("/ops/", requireToken(token, private))
	return public
}

func requireToken(token string, next http.Handler) http.Handler {
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			wire.WriteError(w, http.StatusUnauthorized, "unauthorized", "the operator's token is missing or wrong")
			return
		}
		next.ServeHTTP(w, r)
	})
}

type switchboard struct{ set *switches.Set }

func (b switchboard) list(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusOK, map[string]any{"rules": b.set.Rules()})
}

func (b switchboard) replace(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Rules []switches.Spec `json:"rules"`
	}
	if err := wire.ReadJSON(w, r, &body); err != nil {
		wire.WriteError(w, wire.Status(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	if err := b.set.Replace(body.Rules); err != nil {
		writeSwitchError(w, err)
		return
	}
	b.list(w, r)
}

func (b switchboard) add(w http.ResponseWriter, r *http.Request) {
	var spec switches.Spec
	if err := wire.ReadJSON(w, r, &spec); err != nil {
		wire.WriteError(w, wire.Status(err, http.StatusBadRequest), "invalid_request", err.Error())
		return
	}
	added, err := b.set.Add(spec)
	if err != nil {
		writeSwitchError(w, err)
		return
	}
	wire.WriteJSON(w, http.StatusCreated, added)
}

func (b switchboard) reset(w http.ResponseWriter, r *http.Request) {
	if err := b.set.Replace(nil); err != nil {
		writeSwitchError(w, err)
		return
	}
	b.list(w, r)
}

func (b switchboard) remove(w http.ResponseWriter, r *http.Request) {
	found, err := b.set.Remove(r.PathValue("id"))
	switch {
	case err != nil:
		writeSwitchError(w, err)
	case !found:
		wire.WriteError(w, http.StatusNotFound, "not_found", "no such rule")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func writeSwitchError(w http.ResponseWriter, err error) {
	if invalid := (switches.InvalidError{}); errors.As(err, &invalid) {
		wire.WriteError(w, http.StatusUnprocessableEntity, "invalid_rule", err.Error())
		return
	}
	wire.WriteError(w, http.StatusInternalServerError, "internal", err.Error())
}
