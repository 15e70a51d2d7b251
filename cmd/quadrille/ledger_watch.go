package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
	"github.com/quadrille-dev/quadrille/verify/reconcile"
)

// watch checks every interval until ctx ends, and serves the outcome at listen.
func watch(ctx context.Context, l *reconcile.Ledger, every time.Duration, listen string, logs io.Writer) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	format := os.Getenv("LOG_FORMAT")
	if format == "" {
		format = "json"
	}
	slog.SetDefault(telemetry.NewLogger(logs, slog.LevelInfo, format).With("service", "ledger"))

	flush, err := telemetry.Start(ctx, "ledger", chassis.Version())
	if err != nil {
		return err
	}
	defer func() {
		// What is lost here are metrics on their way to a collector that is away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = flush(ctx)
	}()
	gauges, err := newGauges(otel.Meter("github.com/quadrille-dev/quadrille/cmd/quadrille"))
	if err != nil {
		return err
	}
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "ledger"})
	cfg := chassis.Config{Listener: listener, ShutdownTimeout: 5 * time.Second}
	return chassis.Serve(ctx, cfg, router, func(ctx context.Context) error {
		known := notebook{}
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			report, err := l.Check(ctx)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return err
			}
			gauges.record(ctx, report)
			known.log(ctx, report)
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	})
}

// gauges show the last check.
type gauges struct {
	findings, underWay, notChecked, orders metric.Int64Gauge
	lastCheck                              metric.Float64Gauge
	last                                   map[string]int64 // findings, by kind
}

func newGauges(meter metric.Meter) (g gauges, err error) {
	g.last = map[string]int64{}
	var errs [5]error
	g.findings, errs[0] = meter.Int64Gauge("quadrille.ledger.findings",
		metric.WithDescription("Orders, products, events and queues that do not add up, by kind."))
	g.underWay, errs[1] = meter.Int64Gauge("quadrille.ledger.under_way",
		metric.WithDescription("Orders and events that are not finished, and mismatches that may be passing."))
	g.notChecked, errs[2] = meter.Int64Gauge("quadrille.ledger.not_checked",
		metric.WithDescription("What the ledger could not check."))
	g.orders, errs[3] = meter.Int64Gauge("quadrille.ledger.orders", metric.WithDescription("Orders, by state."))
	g.lastCheck, errs[4] = meter.Float64Gauge("quadrille.ledger.last_check_timestamp",
		metric.WithDescription("When the books of the last check were read."), metric.WithUnit("s"))
	if err := errors.Join(errs[:]...); err != nil {
		return g, fmt.Errorf("ledger: metrics: %w", err)
	}
	return g, nil
}

func (g gauges) record(ctx context.Context, r reconcile.Report) {
	found := map[string]int64{}
	for _, f := range r.Findings {
		found[f.Kind] += int64(f.Count())
	}
	for _, kind := range reconcile.Kinds {
		// While somebody does not answer, what was found before is not known to be well.
		if r.Judged(kind) || found[kind] > g.last[kind] {
			g.findings.Record(ctx, found[kind], metric.WithAttributes(attribute.String("kind", kind)))
			g.last[kind] = found[kind]
		}
	}
	for state, n := range r.Checked.Orders {
		g.orders.Record(ctx, int64(n), metric.WithAttributes(attribute.String("state", state)))
	}
	g.underWay.Record(ctx, int64(r.UnderWay.Count()))
	g.notChecked.Record(ctx, int64(len(r.NotChecked)))
	g.lastCheck.Record(ctx, float64(r.At.UnixMilli())/1000)
}

// notebook remembers what the log has been told: each finding once, until it is known to be gone.
type notebook map[string]bool

const loggedLimit = 10

func (n notebook) log(ctx context.Context, r reconcile.Report) {
	there := map[string]bool{}
	for _, f := range r.Findings {
		fresh := 0
		for _, key := range f.Keys() {
			there[key] = true
			if !n[key] {
				fresh++
			}
		}
		if fresh > 0 {
			slog.ErrorContext(ctx, "the books do not add up", "kind", f.Kind, "rule", f.Rule, "what", f.What,
				"new", fresh, "all", f.Count(), "details", f.Details[:min(len(f.Details), loggedLimit)])
		}
	}
	for _, gap := range r.NotChecked {
		what, _, _ := strings.Cut(gap, ": ") // why may differ from check to check
		there[what] = true
		if !n[what] {
			slog.WarnContext(ctx, "not checked", "what", gap)
		}
	}
	for key := range n {
		if kind, _, _ := strings.Cut(key, "|"); !r.Judged(kind) {
			there[key] = true
		}
	}
	if len(there) == 0 && len(n) > 0 {
		slog.InfoContext(ctx, "the books add up again")
	}
	clear(n)
	for key := range there {
		n[key] = true
	}
}
