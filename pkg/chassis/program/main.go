// Package program is the main function of every service: it reads the configuration from the environment, handles
// signals and subcommands, and connects to Postgres and RabbitMQ.
package program

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
	"strings"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Main is the whole main function of a service; it does not return. It reads the configuration ([chassis.ParseEnv]), sets
// up logs and telemetry, listens, connects to the database and the broker, and calls run with a context that ends at
// SIGINT or SIGTERM. A second signal ends the process at once. Until run serves, /livez returns 200 and every other path
// 503. The exit status is 0 if run returns nil, 1 if it fails, 2 if the arguments or the configuration are wrong; an
// error is logged once.
//
// There are two subcommands. "health" requests /readyz of the instance on this machine (exit status 0 or 1), for
// container images without a shell. "version" prints the version of the build.
func Main[T any, P chassis.Configured[T]](service string, defaults T,
	run func(ctx context.Context, cfg T, db *gorm.DB, tr transport.Transport) error,
) {
	connected := func(ctx context.Context, cfg T) error {
		shared := P(&cfg).Shared()
		db, err := database.Open(ctx, shared.DatabaseURL.Reveal(), database.Options{
			MaxConns: shared.DatabaseMaxConns, TransactionPooling: shared.DatabaseTransactionPooling,
		})
		if err != nil {
			return err
		}
		tr, err := rabbitmq.New(shared.AMQPURL.Reveal(), rabbitmq.Config{Name: service, CAFile: shared.AMQPCAFile})
		if err != nil {
			return errors.Join(err, database.Close(db))
		}
		return errors.Join(run(ctx, cfg, db, tr), tr.Close(), database.Close(db))
	}
	os.Exit(execute[T, P](service, defaults, connected, os.Args[1:], os.Environ(), os.Stdout))
}

func execute[T any, P chassis.Configured[T]](service string, defaults T, run func(context.Context, T) error,
	args, environ []string, out io.Writer,
) (status int) {
	if len(args) > 0 {
		return subcommand(service, P(&defaults).Shared().HTTPAddr, args, environ, out)
	}
	logger := telemetry.NewLogger(out, slog.LevelInfo, "json").With("service", service)
	cfg, err := chassis.ParseEnv[T, P](defaults, environ)
	if err != nil {
		logger.Error("invalid configuration", "mistakes", strings.Split(err.Error(), "\n"))
		return 2
	}
	shared := P(&cfg).Shared()
	logger = telemetry.NewLogger(out, shared.LogLevel, shared.LogFormat).With("service", service)
	slog.SetDefault(logger)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal, the next one has its default effect.
	context.AfterFunc(ctx, stop)

	err = withTelemetry(ctx, service, func() (err error) {
		if shared.Server, err = chassis.Listen(ctx, shared.HTTPAddr); err != nil {
			return err
		}
		defer func() { _ = shared.Server.Close() }()
		slog.InfoContext(ctx, "starting", "version", chassis.Version(), "addr", shared.Server.Addr().String())
		return run(ctx, cfg)
	})
	if err != nil {
		logger.Error("stopped by an error", "error", err)
		return 1
	}
	logger.Info("stopped")
	return 0
}

func withTelemetry(ctx context.Context, service string, run func() error) error {
	flush, err := telemetry.Start(ctx, service, chassis.Version())
	if err != nil {
		return err
	}
	err = run()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	// Only spans can be lost here: an unavailable collector must not turn a clean stop into a failure.
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := flush(flushCtx); err != nil {
		slog.Warn("telemetry was not delivered completely", "error", err)
	}
	return err
}

func subcommand(service, defaultAddr string, args, environ []string, out io.Writer) (status int) {
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(out, service, chassis.Version())
		return 0
	case len(args) == 1 && args[0] == "health":
		addr := env.ToMap(environ)["HTTP_ADDR"]
		if addr == "" {
			addr = defaultAddr
		}
		if err := checkReady(addr); err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(out, "usage: %s [health | version]\nWithout an argument it serves, configured by environment variables.\n", service)
	return 2
}

// checkReady requests /readyz of the instance that listens on addr on this machine or in this container.
func checkReady(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
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
