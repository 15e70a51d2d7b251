package reconcile

import (
	"cmp"
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
)

// Watch checks at an interval until ctx ends. It logs every finding once, to logs, and serves the results as metrics at the
// address listen.
func Watch(ctx context.Context, checker *Checker, every time.Duration, listen string, logs io.Writer) error {
	const service = "reconcile"
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	slog.SetDefault(telemetry.NewLogger(logs, slog.LevelInfo, cmp.Or(os.Getenv("LOG_FORMAT"), "json")).With("service", service))

	flush, err := telemetry.Start(ctx, service, chassis.Version())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = flush(ctx) // the next process reports the same findings again
	}()
	gauges, err := newGauges(otel.Meter("github.com/quadrille-dev/quadrille/verify/reconcile"))
	if err != nil {
		return err
	}
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: service})
	cfg := chassis.Config{Listener: listener, ShutdownTimeout: 5 * time.Second}
	return chassis.Run(ctx, cfg, router, func(ctx context.Context) error {
		logged := findingLog{}
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			report, err := checker.Check(ctx)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return err
			}
			gauges.record(ctx, report)
			logged.log(ctx, report)
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	})
}

// gauges export the last report.
type gauges struct {
	findings, underWay, notChecked, orders metric.Int64Gauge
	lastCheck                              metric.Float64Gauge
	last                                   map[string]int64 // findings by kind
}

func newGauges(meter metric.Meter) (g gauges, err error) {
	g.last = map[string]int64{}
	var errs [5]error
	g.findings, errs[0] = meter.Int64Gauge("quadrille.reconcile.findings",
		metric.WithDescription("Orders, products, events and queues with findings, by kind."))
	g.underWay, errs[1] = meter.Int64Gauge("quadrille.reconcile.under_way",
		metric.WithDescription("Orders and events that are not finished, and contradictions that are not confirmed."))
	g.notChecked, errs[2] = meter.Int64Gauge("quadrille.reconcile.not_checked",
		metric.WithDescription("What could not be checked."))
	g.orders, errs[3] = meter.Int64Gauge("quadrille.reconcile.orders", metric.WithDescription("Orders, by state."))
	g.lastCheck, errs[4] = meter.Float64Gauge("quadrille.reconcile.last_check_timestamp",
		metric.WithDescription("When the last check read the audit snapshots."), metric.WithUnit("s"))
	if err := errors.Join(errs[:]...); err != nil {
		return g, fmt.Errorf("reconcile: metrics: %w", err)
	}
	return g, nil
}

func (g gauges) record(ctx context.Context, r Report) {
	found := map[string]int64{}
	for _, f := range r.Findings {
		found[f.Kind] += int64(f.Count())
	}
	for _, kind := range Kinds {
		// While a source is unavailable, the findings of its kinds may be incomplete, so the value must not fall.
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

// findingLog has what is logged already: each finding, and each gap, until it is known to be gone.
type findingLog map[string]bool

const loggedLimit = 10

func (l findingLog) log(ctx context.Context, r Report) {
	current := map[string]bool{}
	for _, f := range r.Findings {
		added := 0
		for _, key := range f.Keys() {
			current[key] = true
			if !l[key] {
				added++
			}
		}
		if added > 0 {
			slog.ErrorContext(ctx, "reconciliation mismatch", "kind", f.Kind, "rule", f.Rule, "what", f.What,
				"new", added, "all", f.Count(), "details", f.Details[:min(len(f.Details), loggedLimit)])
		}
	}
	for _, gap := range r.NotChecked {
		what, _, _ := strings.Cut(gap, ": ") // the reason may differ from check to check
		current[what] = true
		if !l[what] {
			slog.WarnContext(ctx, "not checked", "what", gap)
		}
	}
	for key := range l {
		if kind, _, _ := strings.Cut(key, "|"); !r.Judged(kind) {
			current[key] = true
		}
	}
	if len(current) == 0 && len(l) > 0 {
		slog.InfoContext(ctx, "reconciliation clean again")
	}
	clear(l)
	for key := range current {
		l[key] = true
	}
}
