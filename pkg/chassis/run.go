package chassis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Run serves router on cfg.HTTPAddr, or on cfg.Listener, and runs each of runners beside it, until ctx ends or one of
// them fails. It blocks until all have stopped, and returns what failed; nil means an orderly end.
//
// A runner is anything with the shape of a long-lived Run(ctx) error, such as an event bus: it works until its
// context ends and then returns when its work under way is finished. One that returns nil early is simply done.
//
// The end has an order: readiness turns false; the server stops accepting and requests under way finish, for which
// they have half of cfg.ShutdownTimeout; then the runners' context ends and they finish in what is left of it.
// What is still at work after cfg.ShutdownTimeout is abandoned, and reported.
func Run(ctx context.Context, cfg Config, router *httpapi.Router, runners ...func(ctx context.Context) error) error {
	listener := cfg.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", cfg.HTTPAddr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if cfg.ShutdownTimeout <= 0 {
		cfg.ShutdownTimeout = 20 * time.Second
	}
	// Work under way must outlive the signal to stop, so nothing below runs under ctx itself.
	detached := context.WithoutCancel(ctx)
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	runCtx, stopRunners := context.WithCancel(detached)
	defer stopRunners()

	server := &http.Server{
		Handler:           limitConcurrency(cfg.MaxRequests, router),
		BaseContext:       func(net.Listener) context.Context { return detached },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	var group errgroup.Group
	start := func(run func() error) {
		group.Go(func() error {
			err := run()
			if err != nil {
				stop()
			}
			return err
		})
	}
	for _, run := range runners {
		start(func() error { return run(runCtx) })
	}
	start(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	slog.InfoContext(ctx, "listening", "addr", listener.Addr().String())
	if cfg.OnListen != nil {
		cfg.OnListen(listener.Addr())
	}

	<-stopping.Done()
	deadline := time.Now().Add(cfg.ShutdownTimeout)
	router.Drain()
	slog.InfoContext(ctx, "stopping", "timeout", cfg.ShutdownTimeout)

	httpErr := drain(detached, server, cfg.ShutdownTimeout/2)
	stopRunners()
	return errors.Join(httpErr, waitUntil(deadline, &group))
}

// takeTurns lets n requests through at once. Who has gone away while waiting is not served.
func limitConcurrency(n int, next http.Handler) http.Handler {
	if n <= 0 {
		return next
	}
	turns := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

func drain(ctx context.Context, server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return nil
}

func waitUntil(deadline time.Time, group *errgroup.Group) error {
	finished := make(chan error, 1)
	go func() { finished <- group.Wait() }()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case err := <-finished:
		return err
	case <-timer.C:
		return errors.New("work was still under way when the time to shut down was over")
	}
}
