package events

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// PublishOption changes how one event is published.
type PublishOption func(*publication)

type publication struct {
	now         time.Time
	availableAt *time.Time
	sequence    string
}

// After schedules the event: it is published once d has passed. It may be late by Config.PollInterval. Until then
// later events of its subject pass it; from then on it keeps the place that it was written in.
func WithDelay(d time.Duration) PublishOption {
	return func(p *publication) { t := p.now.Add(d); p.availableAt = &t }
}

// At schedules the event as After does: it is published once the clock shows t.
func WithDeliverAt(t time.Time) PublishOption { return func(p *publication) { p.availableAt = &t } }

// Sequence sets the version that the aggregate has with this event.
func WithSequence(n int64) PublishOption {
	return func(p *publication) { p.sequence = strconv.FormatInt(n, 10) }
}

// Publish records eto in the outbox, inside tx. It reaches the broker after tx commits, at least once, and never
// if tx rolls back. Correlation, causation, tenant and trace context are taken from ctx.
//
// Events with the same subject leave in the order they were written. Two transactions that write about one
// aggregate must therefore take turns, say by locking its row first: which of two unordered writes comes first is
// nobody's to know.
//
// The error is ErrNoTransaction or ErrNoBus if tx is not a transaction of a handle that New was called with,
// describes what is wrong with eto, or is the database's; the transaction should be rolled back.
func Publish(ctx context.Context, tx *gorm.DB, eto ETO, opts ...PublishOption) error {
	if err := publish(ctx, tx, eto, opts); err != nil {
		return fmt.Errorf("publish %s: %w", eto.EventType(), err)
	}
	return nil
}

func publish(ctx context.Context, tx *gorm.DB, eto ETO, opts []PublishOption) (err error) {
	t, err := transactionOf(tx)
	if err != nil {
		return err
	}
	if tx.Error != nil {
		return tx.Error
	}
	cfg := t.plugin.cfg
	declared, err := t.plugin.events.find(eto.EventType())
	if err != nil {
		return err
	}
	if declared.Publisher != cfg.Service {
		return fmt.Errorf("event is declared for publisher %q, this service is %q", declared.Publisher, cfg.Service)
	}
	if eto.Subject() == "" {
		return fmt.Errorf("%T: no subject", eto)
	}
	p := publication{now: cfg.Now().UTC()}
	for _, o := range opts {
		o(&p)
	}
	data, err := json.Marshal(eto)
	if err != nil {
		return err
	}
	env := transport.Envelope{Data: data, Metadata: Metadata{
		ID: cfg.NewID(), Type: eto.EventType(), Source: cfg.Source, Subject: eto.Subject(), Time: p.now,
		CorrelationID: CorrelationID(ctx), CausationID: CausationID(ctx), TenantID: TenantID(ctx), Sequence: p.sequence,
	}}
	if cfg.SchemaBase != "" {
		env.DataSchema = strings.TrimSuffix(cfg.SchemaBase, "/") + "/" + env.Type + ".json"
	}
	ctx, span := t.plugin.tracing.create(ctx, &env.Metadata)
	defer func() { endSpan(span, errorType(err), err) }()
	body, err := json.Marshal(env)
	if err != nil {
		return err
	}
	if err := insertRow(ctx, t.plugin.sql, t, env.Metadata, declared.Mandatory, body, p.availableAt); err != nil {
		return err
	}
	t.published = true
	return nil
}
