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

	"github.com/quadrille-dev/quadrille/simulators/internal/book"
	"github.com/quadrille-dev/quadrille/simulators/internal/ops"
	"github.com/quadrille-dev/quadrille/simulators/internal/serve"
	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
)

// Config is what a carrier needs to know.
type Config struct {
	// Dir is the folder of the book, carrier.jsonl. It is made if it is not there. Required.
	Dir string
	// HandoverDelay passes from booking to hand-over, DeliveryDelay from there to delivery. Zero is at once.
	HandoverDelay, DeliveryDelay time.Duration
	// WebhookURL is where hand-overs and deliveries are reported. Empty: reports wait until a carrier with the same book
	// and a URL starts.
	WebhookURL string
	// WebhookSecret signs the reports. Required with WebhookURL.
	WebhookSecret string
	// OpsToken opens /ops. Empty: nobody gets in.
	OpsToken string
	// Log defaults to slog.Default().
	Log *slog.Logger
	// Clock defaults to the wall clock.
	Clock Clock
}

// Clock tells the time and waits for it.
type Clock interface {
	Now() time.Time
	// At gives a channel that receives once it is t or later.
	At(t time.Time) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                  { return time.Now() }
func (wallClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }

// Server is the carrier. It is an http.Handler for the API and the operators' endpoints together, to be used by several
// goroutines at once; or Serve puts it on the network. Parcels move from New to Close.
type Server struct {
	cfg      Config
	switches *switches.Set
	book     *book.Book[entry]
	handler  http.Handler
	ops      http.Handler

	mu    sync.Mutex
	state *state

	wake    chan struct{} // something new may be due
	stop    context.CancelFunc
	workers sync.WaitGroup
	client  *http.Client
	sending chan struct{} // holds a token for each report that is being sent
}

var _ http.Handler = (*Server)(nil)

// New opens the book, brings the carrier to where it was and goes on with what is due. The caller closes it.
func New(cfg Config) (*Server, error) {
	var mistakes []error
	if cfg.Dir == "" {
		mistakes = append(mistakes, errors.New("carrier: Dir is required"))
	}
	if cfg.HandoverDelay < 0 || cfg.DeliveryDelay < 0 {
		mistakes = append(mistakes, errors.New("carrier: a delay is negative"))
	}
	if cfg.WebhookURL != "" && cfg.WebhookSecret == "" {
		mistakes = append(mistakes, errors.New("carrier: WebhookSecret is required with WebhookURL"))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = wallClock{}
	}
	s := &Server{
		cfg: cfg,
		switches: switches.New(switches.Operations{
			Incoming: []string{opBook, opRetrieve, opCancel},
			Outgoing: []string{opWebhookDispatched, opWebhookDelivered},
			Moves:    []string{opHandOver, opDeliver},
		}),
		state:   newState(),
		wake:    make(chan struct{}, 1),
		client:  newWebhookClient(),
		sending: make(chan struct{}, maxSending),
	}
	var err error
	s.book, err = book.Open(filepath.Join(cfg.Dir, "carrier.jsonl"), cfg.Log, func(e entry) error {
		s.state.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.ops = ops.Handler(cfg.OpsToken, s.switches, s.books, nil)
	s.handler = serve.API(s.routes(), s.ops, s.switches)

	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, n := range s.state.unreported() {
		s.report(ctx, n)
	}
	s.switches.OnChange(s.somethingNew)
	s.workers.Go(func() { s.moveParcels(ctx) })
	return s, nil
}

// ServeHTTP answers the API under /v1/, and /ops and /livez.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers everything on api, and /ops and /livez on operators, which stays open while the switch "down" keeps api
// closed. It blocks until ctx ends, drains for a few seconds and closes both listeners; it does not close the server.
func (s *Server) Serve(ctx context.Context, api, operators net.Listener) error {
	s.cfg.Log.Info("carrier listening", "addr", api.Addr().String(), "ops_addr", operators.Addr().String())
	return serve.Run(ctx, s.cfg.Log, api, operators, s.handler, s.ops, s.switches)
}

// Close cuts off held requests, stops parcels and reports, and closes the book. No request may come after it.
func (s *Server) Close() error {
	s.switches.Close()
	s.stop()
	s.workers.Wait()
	s.client.CloseIdleConnections()
	return s.book.Close()
}

func (s *Server) now() time.Time { return s.cfg.Clock.Now().UTC() }
