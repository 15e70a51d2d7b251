package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// temporaryFlag tells quadrille up to end with the process that started it.
const temporaryFlag = "temporary-with-stdin"

// whileStdinIsOpen ties a shop to the process at the other end of in: the context ends once in closes, as it does
// however that process ends, and end then deletes dir. Ctrl-C and a terminal that closes are for the other one, which
// may still need the shop.
func whileStdinIsOpen(ctx context.Context, in io.Reader, dir string) (_ context.Context, end func()) {
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in) // nothing is said there
		close(closed)
		cancel()
	}()
	return ctx, func() {
		cancel()
		select {
		case <-closed:
			_ = os.RemoveAll(dir) // nobody is left to be told
		default:
		}
	}
}

// demoEnviron is all that the demo's shop sees of the environment, and its own settings.
func demoEnviron(lookup func(name string) (string, bool), ladder string) []string {
	environ := []string{"EVENTS_AUDIT=true", "CARRIER_DISPATCH_DELAY=1s", "CARRIER_DELIVERY_DELAY=1s"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TMP", "TEMP", "SystemRoot", "LOG_LEVEL", "LOG_FORMAT"} {
		if value, set := lookup(name); set {
			environ = append(environ, name+"="+value)
		}
	}
	if ladder != "" {
		environ = append(environ, "RETRY_DELAYS="+ladder)
	}
	return environ
}
