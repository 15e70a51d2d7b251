package chassis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

// Main is a service's whole main function; it does not return. It reads the configuration from the environment
// ([ParseEnv]), sets up logs and telemetry, listens, and calls run with a context that ends at SIGINT or SIGTERM. A second
// signal ends the process at once. Until run comes to [Run], which takes the listener over, /livez answers 200 and
// everything else 503. The exit status is 0 if run returns nil, 1 if it fails, 2 if the arguments or the
// configuration are wrong; an error is logged once.
//
// There are two subcommands. "health" asks the instance on this machine whether it is ready (exit status 0 or 1),
// for container images that have no shell. "version" prints what was built.
func Main[T Configured](service string, defaults T, run func(ctx context.Context, cfg T) error) {
	os.Exit(runMain(service, defaults, run, os.Args[1:], os.Environ(), os.Stdout))
}

func runMain[T Configured](service string, defaults T, run func(context.Context, T) error,
	args, environ []string, out io.Writer,
) int {
	if len(args) > 0 {
		return subcommand(service, defaults.shared(), args, environ, out)
	}
	logger := telemetry.NewLogger(out, slog.LevelInfo, "json").With("service", service)
	cfg, err := ParseEnv(defaults, environ)
	if err != nil {
		logger.Error("the configuration is wrong", "mistakes", strings.Split(err.Error(), "\n"))
		return 2
	}
	logger = telemetry.NewLogger(out, cfg.shared().LogLevel, cfg.shared().LogFormat).With("service", service)
	slog.SetDefault(logger)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the first signal has been seen, the next one has its default effect.
	context.AfterFunc(ctx, stop)

	if err := runWithTelemetry(ctx, service, cfg, run); err != nil {
		logger.Error("stopped by an error", "error", err)
		return 1
	}
	logger.Info("stopped")
	return 0
}

func runWithTelemetry[T Configured](ctx context.Context, service string, cfg T, run func(context.Context, T) error) error {
	flush, err := telemetry.Start(ctx, service, Version())
	if err != nil {
		return err
	}
	err = runWithStartupListener(ctx, cfg, run)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	// What is lost here are spans, not work: a collector that is away must not turn a clean stop into a failure.
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := flush(flushCtx); err != nil {
		slog.Warn("telemetry was not delivered completely", "error", err)
	}
	return err
}

// runFromLobby listens from the beginning: what run needs before it can serve may take its time.
func runWithStartupListener[T Configured](ctx context.Context, cfg T, run func(context.Context, T) error) error {
	lobby, err := newStartupListener(cfg.shared().HTTPAddr)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "starting", "version", Version(), "addr", lobby.Addr().String())
	any(&cfg).(interface{ listenOn(net.Listener) }).listenOn(lobby)
	err = run(ctx, cfg)
	if closeErr := lobby.Close(); !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

func subcommand(service string, defaults Config, args, environ []string, out io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(out, service, Version())
		return 0
	case len(args) == 1 && args[0] == "health":
		addr := env.ToMap(environ)["HTTP_ADDR"]
		if addr == "" {
			addr = defaults.HTTPAddr
		}
		if err := askReady(addr); err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(out, "usage: %s [health | version]\nWithout an argument it serves; the environment configures it.\n", service)
	return 2
}

// askReady asks the instance that listens on addr in this very machine or container.
func askReady(addr string) error {
	if addr == "" {
		addr = ":8080"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := http.Client{Timeout: 4 * time.Second}
	resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("not ready: %s %s", resp.Status, body)
	}
	return nil
}

// Version returns what the build recorded about itself: the module's version, or the commit it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = s.Value
		}
	}
	if version == "" {
		return "(devel)"
	}
	return version
}
