package chassis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Server is the HTTP server of a process. From the beginning it serves a startup handler, see [httpapi.StartupHandler];
// [Run] and [Serve] replace that by the handler of the service. A service that waits for its database is therefore alive
// and not ready, instead of unreachable.
type Server struct {
	listener net.Listener
	http     *http.Server
	handler  atomic.Pointer[http.Handler]
	draining atomic.Bool
	ended    chan error // the result of http.Serve
}

// Listen returns a server that listens on addr.
func Listen(ctx context.Context, addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return NewServer(ctx, listener), nil
}

// NewServer returns a server that accepts connections from listener, and closes it. The contexts of requests have the
// values of ctx, but outlive it: the end of the process waits for requests under way.
func NewServer(ctx context.Context, listener net.Listener) *Server {
	s := &Server{listener: listener, ended: make(chan error, 1)}
	s.swap(httpapi.StartupHandler())
	detached := context.WithoutCancel(ctx)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return detached },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	go func() { s.ended <- s.http.Serve(listener) }()
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		// Not SetKeepAlivesEnabled(false): that closes idle connections, on which a request may be under way.
		w.Header().Set("Connection", "close")
	}
	(*s.handler.Load()).ServeHTTP(w, r)
}

// drain makes every response from now on the last of its connection.
func (s *Server) drain() { s.draining.Store(true) }

// Addr returns the address on which the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close closes the listener and all connections at once. It can be called more than once.
func (s *Server) Close() error { return s.http.Close() }

func (s *Server) swap(h http.Handler) { s.handler.Store(&h) }

// wait blocks until the server has ended. The error is nil after a shutdown.
func (s *Server) wait() error {
	if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// shutdown stops accepting connections and blocks until the requests under way have finished, or the timeout is over.
func (s *Server) shutdown(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return nil
}

// limitConcurrency serves at most n requests at the same time. A request whose client disconnects while it waits is
// dropped. n <= 0 means no limit.
func limitConcurrency(n int, next http.Handler) http.Handler {
	if n <= 0 {
		return next
	}
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}
