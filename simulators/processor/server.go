package processor

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/quadrille-dev/quadrille/simulators/internal/book"
	"github.com/quadrille-dev/quadrille/simulators/internal/ops"
	"github.com/quadrille-dev/quadrille/simulators/internal/serve"
	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
)

// Config is what a processor needs to know.
type Config struct {
	// Dir is the folder of the book, processor.jsonl. It is made if it is not there. Required.
	Dir string
	// Key is the API key that is accepted. Required.
	Key string
	// OpsToken opens /ops. Empty: nobody gets in.
	OpsToken string
	// Log defaults to slog.Default().
	Log *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// Server is the processor. It is an http.Handler for the API and the operators' endpoints together, to be used by
// several goroutines at once; or Serve puts it on the network.
type Server struct {
	cfg      Config
	switches *switches.Set
	book     *book.Book[entry]
	handler  http.Handler
	ops      http.Handler

	mu      sync.Mutex
	state   *state
	running map[string]*claim // by idempotency key
}

var _ http.Handler = (*Server)(nil)

// New opens the book and brings the processor to where it was. The caller closes it.
func New(cfg Config) (*Server, error) {
	if cfg.Dir == "" || cfg.Key == "" {
		return nil, errors.New("processor: Dir and Key are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg:      cfg,
		switches: switches.New(switches.Operations{Incoming: []string{opCreate, opRetrieve, opConfirm, opCancel, opRefund}}),
		state:    newState(),
		running:  map[string]*claim{},
	}
	var err error
	s.book, err = book.Open(filepath.Join(cfg.Dir, "processor.jsonl"), cfg.Log, func(e entry) error {
		s.state.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.ops = ops.Handler(cfg.OpsToken, s.switches, s.books, map[string]http.HandlerFunc{"DELETE /ops/keys": s.forgetKeys})
	s.handler = serve.API(s.authenticated(s.routes()), s.ops, s.switches)
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payment_intents", s.write(parseCreate))
	mux.HandleFunc("GET /v1/payment_intents/{id}", s.read(readIntent))
	mux.HandleFunc("POST /v1/payment_intents/{id}/confirm", s.write(parseConfirm))
	mux.HandleFunc("POST /v1/payment_intents/{id}/cancel", s.write(parseCancel))
	mux.HandleFunc("POST /v1/refunds", s.write(parseRefund))
	mux.HandleFunc("GET /v1/refunds", s.read(listRefunds))
	mux.HandleFunc("GET /v1/refunds/{id}", s.read(readRefund))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, invalid(http.StatusNotFound, "", "", "Nothing answers to "+r.Method+" "+r.URL.Path+" here."))
	})
	return mux
}

// authenticated takes the key as a bearer token, or as the user name of basic authentication.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", newID("req"))
		key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			key, _, _ = r.BasicAuth()
		}
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.Key)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="processor"`)
			writeError(w, invalid(http.StatusUnauthorized, "", "", "The API key is missing or wrong."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP answers the API under /v1/, and /ops and /livez.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers everything on api, and /ops and /livez on operators, which stays open while the switch "down" keeps api
// closed. It blocks until ctx ends, drains for a few seconds and closes both listeners; it does not close the server.
func (s *Server) Serve(ctx context.Context, api, operators net.Listener) error {
	s.cfg.Log.Info("card processor listening", "addr", api.Addr().String(), "ops_addr", operators.Addr().String())
	return serve.Run(ctx, s.cfg.Log, api, operators, s.handler, s.ops, s.switches)
}

// Close cuts off held requests and closes the book. No request may come after it.
func (s *Server) Close() error {
	s.switches.Close()
	return s.book.Close()
}

func (s *Server) now() time.Time { return s.cfg.Now().UTC() }

func newID(prefix string) string {
	id := uuid.Must(uuid.NewV7())
	return prefix + "_" + strings.ReplaceAll(id.String(), "-", "")
}
