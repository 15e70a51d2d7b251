package chassis

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Run runs the service until ctx ends or a part of it fails, and blocks until everything has stopped. It migrates the
// database, creates the bus, calls s.Start, and then serves as [Serve] does, with the bus and s.Background beside it.
// The database and the transport remain the caller's to close.
func Run(ctx context.Context, cfg Config, s Service, db *gorm.DB, tr transport.Transport) error {
	server, err := cfg.server(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	cfg.Server = server

	if err := database.WithMigrationRole(ctx, cfg.MigrateDatabaseURL.Reveal(), db, s.Migrate); err != nil {
		return err
	}
	bus, err := s.Bus(cfg, db, tr)
	if err != nil {
		return err
	}
	if s.Start != nil {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	router, err := s.Router(cfg, db, bus)
	if err != nil {
		return err
	}
	return Serve(ctx, cfg, router, slices.Concat(s.Background, []func(context.Context) error{bus.Run, httpapi.PruneIdempotencyKeys(db)})...)
}

// Serve serves router and runs each of runners beside it, until ctx ends or one of them fails. It blocks until all have
// stopped, and returns what failed; nil means a shutdown in order.
//
// A runner is a function in the form of Run(ctx) error, such as that of an event bus: it works until its context ends,
// finishes its work under way, and returns. A runner that returns nil early is done.
//
// The shutdown has three phases. First readiness turns false, and the server continues to serve for cfg.ShutdownDelay, so that
// load balancers can notice; each response closes its connection. Then the server stops accepting connections, and the
// requests under way have half of cfg.ShutdownTimeout to finish. Then the context of the runners ends, and they have what is
// left of it. Work that exceeds cfg.ShutdownTimeout is abandoned and reported.
func Serve(ctx context.Context, cfg Config, router *httpapi.Router, runners ...func(ctx context.Context) error) error {
	server, err := cfg.server(ctx)
	if err != nil {
		return err
	}
	if cfg.ShutdownTimeout <= 0 {
		cfg.ShutdownTimeout = Defaults("").ShutdownTimeout
	}
	// Work under way must outlive the signal to stop, so nothing below runs under ctx itself.
	detached := context.WithoutCancel(ctx)
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	runCtx, stopRunners := context.WithCancel(detached)
	defer stopRunners()

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
	server.swap(limitConcurrency(cfg.MaxRequests, router))
	start(server.wait)
	for _, run := range runners {
		start(func() error { return run(runCtx) })
	}
	slog.InfoContext(ctx, "listening", "addr", server.Addr().String())
	if cfg.OnListen != nil {
		cfg.OnListen(server.Addr())
	}

	<-stopping.Done()
	router.Drain()
	server.drain()
	slog.InfoContext(ctx, "stopping", "delay", cfg.ShutdownDelay, "timeout", cfg.ShutdownTimeout)
	<-time.After(cfg.ShutdownDelay)

	deadline := time.Now().Add(cfg.ShutdownTimeout)
	httpErr := server.shutdown(detached, cfg.ShutdownTimeout/2)
	stopRunners()
	return errors.Join(httpErr, waitUntil(deadline, &group))
}

// server returns the server that the configuration brings, or a new one.
func (c Config) server(ctx context.Context) (*Server, error) {
	switch {
	case c.Server != nil:
		return c.Server, nil
	case c.Listener != nil:
		return NewServer(ctx, c.Listener), nil
	default:
		return Listen(ctx, c.HTTPAddr)
	}
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
		return errors.New("shutdown timeout: work was still under way")
	}
}
