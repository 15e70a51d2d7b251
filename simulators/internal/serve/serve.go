// Package serve runs the two listeners of a simulator: one for its API, which the fault "down" closes and opens again,
// and one for its operators' endpoints, which stays open.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// shutdownTimeout is how long requests in flight may take to finish after a signal to stop.
const shutdownTimeout = 5 * time.Second

// API returns the handler of a simulator's API port: it routes paths under /v1/ to api, and all others to ops. While
// the simulator is down it disconnects every API request, which matters to callers that serve it without Run.
func API(api, ops http.Handler, injector *faults.Injector) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", ops)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if injector.Down() {
			wire.Disconnect(w)
			return
		}
		api.ServeHTTP(w, r)
	})
	return mux
}

// Run serves both handlers until ctx ends or a listener fails. It then disconnects paused requests, waits for the other
// requests in flight, and closes both listeners. It returns nil if ctx ended it.
func Run(
	ctx context.Context, log *slog.Logger, apiListener, opsListener net.Listener, api, ops http.Handler, injector *faults.Injector,
) error {
	failed := make(chan error, 2)
	apiServer := &server{address: apiListener.Addr().String(), handler: api, log: log, failed: failed}
	opsServer := &server{address: opsListener.Addr().String(), handler: ops, log: log, failed: failed}
	apiServer.start(apiListener)
	opsServer.start(opsListener)
	err := injector.OnDown(apiServer.setDown)
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	injector.Close()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, injector.OnDown(nil), apiServer.shutdown(shutdown), opsServer.shutdown(shutdown))
}

// server is an HTTP server that can be stopped and started again at the same address.
type server struct {
	address string
	handler http.Handler
	log     *slog.Logger
	failed  chan<- error

	mu       sync.Mutex
	http     *http.Server // nil while stopped
	listener net.Listener
}

func (s *server) start(listener net.Listener) {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.mu.Lock()
	s.http, s.listener = server, listener
	s.mu.Unlock()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- fmt.Errorf("serve %s: %w", s.address, err):
			default:
			}
		}
	}()
}

func (s *server) setDown(down bool) error {
	if !down {
		listener, err := net.Listen("tcp", s.address)
		if err != nil {
			return fmt.Errorf("reopen listener: %w", err)
		}
		s.start(listener)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return nil
	}
	// http.Server closes the listener only if Serve has started, so the listener is closed here as well.
	_ = s.http.Close()
	_ = s.listener.Close()
	s.http = nil
	return nil
}

func (s *server) shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return nil
	}
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shut down %s: %w", s.address, err), s.http.Close())
	}
	return nil
}
