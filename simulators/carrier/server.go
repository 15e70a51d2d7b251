package carrier

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/journal"
	"github.com/quadrille-dev/quadrille/simulators/internal/ops"
	"github.com/quadrille-dev/quadrille/simulators/internal/serve"
)

// Config holds the settings of a carrier.
type Config struct {
	// Dir is the folder of the journal, carrier.jsonl. New creates it if it does not exist. Required.
	Dir string
	// DispatchDelay is the time from booking to dispatch, DeliveryDelay the time from dispatch to delivery. The default
	// 0 means immediately.
	DispatchDelay, DeliveryDelay time.Duration
	// WebhookURL is the receiver of the webhooks. If it is empty, webhooks stay pending until a carrier with the same
	// journal and a URL starts.
	WebhookURL string
	// WebhookSecret signs the webhooks. Required with WebhookURL.
	WebhookSecret string
	// OpsToken is the bearer token for /ops. If it is empty, /ops rejects every request.
	OpsToken string
	// Log defaults to slog.Default().
	Log *slog.Logger
	// Clock defaults to the system clock.
	Clock Clock
}

// Clock is a source of time. Tests replace it.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// At returns a channel that receives the time at t, or immediately if t has passed.
	At(t time.Time) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }

// Server is the carrier. It is an http.Handler for the API and the operators' endpoints on one port, safe for
// concurrent use. Serve serves two ports instead. Between New and Close, the server dispatches and delivers shipments
// in the background.
type Server struct {
	cfg     Config
	faults  *faults.Injector
	journal *journal.Journal[entry]
	handler http.Handler
	ops     http.Handler

	mu    sync.Mutex
	state *state

	wake     chan struct{} // signals that a transition may be due
	stop     context.CancelFunc
	workers  sync.WaitGroup
	client   *http.Client
	inFlight chan struct{} // semaphore: holds a token for each webhook in flight
}

var _ http.Handler = (*Server)(nil)

// New opens the journal, restores the state of the carrier and continues its transitions and webhooks. The caller must
// call Close.
func New(cfg Config) (*Server, error) {
	var errs []error
	if cfg.Dir == "" {
		errs = append(errs, errors.New("carrier: Dir is required"))
	}
	if cfg.DispatchDelay < 0 || cfg.DeliveryDelay < 0 {
		errs = append(errs, errors.New("carrier: DispatchDelay and DeliveryDelay must not be negative"))
	}
	if cfg.WebhookURL != "" && cfg.WebhookSecret == "" {
		errs = append(errs, errors.New("carrier: WebhookSecret is required with WebhookURL"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	s := &Server{
		cfg: cfg,
		faults: faults.NewInjector(faults.Operations{
			Requests:    []string{opBook, opRetrieve, opCancel},
			Webhooks:    []string{opWebhookDispatched, opWebhookDelivered},
			Transitions: []string{opDispatch, opDeliver},
		}),
		state:    newState(),
		wake:     make(chan struct{}, 1),
		client:   newWebhookClient(),
		inFlight: make(chan struct{}, maxWebhooksInFlight),
	}
	var err error
	s.journal, err = journal.Open(filepath.Join(cfg.Dir, "carrier.jsonl"), cfg.Log, func(e entry) error {
		s.state.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.ops = ops.Handler(cfg.OpsToken, s.faults, s.audit, nil)
	s.handler = serve.API(s.routes(), s.ops, s.faults)

	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, w := range s.state.pendingWebhooks() {
		s.sendWebhook(ctx, w)
	}
	s.faults.OnChange(s.wakeTransitions)
	s.workers.Go(func() { s.runTransitions(ctx) })
	return s, nil
}

// ServeHTTP serves the API under /v1/, the operators' endpoints under /ops, and /livez.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve serves everything on api, and /ops and /livez on operators. The fault "down" closes api, but not operators.
// Serve blocks until ctx ends and requests in flight have finished, at most a few seconds. It closes both listeners,
// but not the server.
func (s *Server) Serve(ctx context.Context, api, operators net.Listener) error {
	s.cfg.Log.Info("carrier listening", "addr", api.Addr().String(), "ops_addr", operators.Addr().String())
	return serve.Run(ctx, s.cfg.Log, api, operators, s.handler, s.ops, s.faults)
}

// Close disconnects paused requests, stops transitions and webhooks, and closes the journal. The server cannot be used
// afterwards.
func (s *Server) Close() error {
	s.faults.Close()
	s.stop()
	s.workers.Wait()
	s.client.CloseIdleConnections()
	return s.journal.Close()
}

func (s *Server) now() time.Time { return s.cfg.Clock.Now().UTC() }
