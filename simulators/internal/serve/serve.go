// Package serve puts a simulator on the network: its API on one listener, which a switch can close and open again, and
// its operators' endpoints on a second, which stays open.
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

	"github.com/quadrille-dev/quadrille/simulators/internal/switches"
	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// drainTime is how long requests in flight may take once a stop was asked for.
const drainTime = 5 * time.Second

// API is the handler of a simulator's main port: everything under /v1/ goes to api, the rest to ops. While the
// simulator is down it hangs up on api, for those who serve it without Run.
func API(api, ops http.Handler, set *switches.Set) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", ops)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if set.Down() {
			wire.HangUp(w)
			return
		}
		api.ServeHTTP(w, r)
	})
	return mux
}

// Run serves until ctx ends or a listener fails, lets requests in flight finish (held ones are cut off), closes both
// listeners and returns. It returns nil if it was ctx that ended it.
func Run(ctx context.Context, log *slog.Logger, apiListener, opsListener net.Listener, api, ops http.Handler, set *switches.Set) error {
	failed := make(chan error, 2)
	main := &door{address: apiListener.Addr().String(), handler: api, log: log, failed: failed}
	back := &door{address: opsListener.Addr().String(), handler: ops, log: log, failed: failed}
	main.open(apiListener)
	back.open(opsListener)
	err := set.OnDown(main.setDown)
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	set.Close()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(err, set.OnDown(nil), main.close(deadline), back.close(deadline))
}

// door is a listener with its server, which can be closed and opened again at the same address.
type door struct {
	address string
	handler http.Handler
	log     *slog.Logger
	failed  chan<- error

	mu       sync.Mutex
	server   *http.Server // nil while closed
	listener net.Listener
}

func (d *door) open(listener net.Listener) {
	server := &http.Server{
		Handler:           d.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
	d.mu.Lock()
	d.server, d.listener = server, listener
	d.mu.Unlock()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case d.failed <- fmt.Errorf("serve %s: %w", d.address, err):
			default:
			}
		}
	}()
}

func (d *door) setDown(down bool) error {
	if !down {
		listener, err := net.Listen("tcp", d.address)
		if err != nil {
			return fmt.Errorf("open the listener again: %w", err)
		}
		d.open(listener)
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return nil
	}
	// The server closes the listener only if it came to serve it; what cannot be closed twice is closed.
	_ = d.server.Close()
	_ = d.listener.Close()
	d.server = nil
	return nil
}

func (d *door) close(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return nil
	}
	if err := d.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain %s: %w", d.address, err), d.server.Close())
	}
	return nil
}
