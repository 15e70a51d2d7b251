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

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/journal"
	"github.com/quadrille-dev/quadrille/simulators/internal/ops"
	"github.com/quadrille-dev/quadrille/simulators/internal/serve"
)

// Config holds the settings of a processor.
type Config struct {
	// Dir is the folder of the journal, processor.jsonl. New creates it if it does not exist. Required.
	Dir string
	// Key is the API key that clients must send. Required.
	Key string
	// OpsToken is the bearer token for /ops. If it is empty, /ops rejects every request.
	OpsToken string
	// Log defaults to slog.Default().
	Log *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// Server is the processor. It is an http.Handler for the API and the operators' endpoints on one port, safe for
// concurrent use. Serve serves two ports instead.
type Server struct {
	cfg     Config
	faults  *faults.Injector
	journal *journal.Journal[entry]
	handler http.Handler
	ops     http.Handler

	mu      sync.Mutex
	state   *state
	running map[string]*claim // by idempotency key
}

var _ http.Handler = (*Server)(nil)

// New opens the journal and restores the state of the processor. The caller must call Close.
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
		cfg: cfg,
		faults: faults.NewInjector(faults.Operations{
			Requests: []string{opCreate, opRetrieve, opConfirm, opCancel, opRefund},
		}),
		state:   newState(),
		running: map[string]*claim{},
	}
	var err error
	s.journal, err = journal.Open(filepath.Join(cfg.Dir, "processor.jsonl"), cfg.Log, func(e entry) error {
		s.state.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.ops = ops.Handler(cfg.OpsToken, s.faults, s.audit, map[string]http.HandlerFunc{"DELETE /ops/keys": s.purgeKeys})
	s.handler = serve.API(s.requireKey(s.routes()), s.ops, s.faults)
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payment_intents", s.handleWrite(parseCreate))
	mux.HandleFunc("GET /v1/payment_intents/{id}", s.handleRead(readIntent))
	mux.HandleFunc("POST /v1/payment_intents/{id}/confirm", s.handleWrite(parseConfirm))
	mux.HandleFunc("POST /v1/payment_intents/{id}/cancel", s.handleWrite(parseCancel))
	mux.HandleFunc("POST /v1/refunds", s.handleWrite(parseRefund))
	mux.HandleFunc("GET /v1/refunds", s.handleRead(listRefunds))
	mux.HandleFunc("GET /v1/refunds/{id}", s.handleRead(readRefund))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, newInvalidRequest(http.StatusNotFound, "", "", "Unrecognized request URL ("+r.Method+": "+r.URL.Path+")."))
	})
	return mux
}

// requireKey accepts the API key as a bearer token, or as the user name of basic authentication.
func (s *Server) requireKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", newID("req"))
		key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			key, _, _ = r.BasicAuth()
		}
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.Key)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="processor"`)
			writeError(w, newInvalidRequest(http.StatusUnauthorized, "", "", "The API key is missing or wrong."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP serves the API under /v1/, the operators' endpoints under /ops, and /livez.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve serves everything on api, and /ops and /livez on operators. The fault "down" closes api, but not operators.
// Serve blocks until ctx ends and requests in flight have finished, at most a few seconds. It closes both listeners,
// but not the server.
func (s *Server) Serve(ctx context.Context, api, operators net.Listener) error {
	s.cfg.Log.Info("card processor listening", "addr", api.Addr().String(), "ops_addr", operators.Addr().String())
	return serve.Run(ctx, s.cfg.Log, api, operators, s.handler, s.ops, s.faults)
}

// Close disconnects paused requests and closes the journal. The server cannot be used afterwards.
func (s *Server) Close() error {
	s.faults.Close()
	return s.journal.Close()
}

func (s *Server) now() time.Time { return s.cfg.Now().UTC() }

func newID(prefix string) string {
	id := uuid.Must(uuid.NewV7())
	return prefix + "_" + strings.ReplaceAll(id.String(), "-", "")
}
