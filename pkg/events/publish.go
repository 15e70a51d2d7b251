package events

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/outbox"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// PublishOption is an option of [Publish].
type PublishOption func(*publication)

type publication struct {
	now         time.Time
	availableAt *time.Time
	sequence    string
}

// WithDelay schedules the event: it is published once d has passed, late by Relay.PollInterval at most. Until then, later
// events with its subject are published before it. From then on it has the place in which it was written.
func WithDelay(d time.Duration) PublishOption {
	return func(p *publication) { t := p.now.Add(d); p.availableAt = &t }
}

// WithDeliverAt schedules the event as WithDelay does: it is published at t.
func WithDeliverAt(t time.Time) PublishOption { return func(p *publication) { p.availableAt = &t } }

// WithSequence sets the version that the aggregate has with this event.
func WithSequence(n int64) PublishOption {
	return func(p *publication) { p.sequence = strconv.FormatInt(n, 10) }
}

// Publish writes eto to the outbox inside tx. The event is published at least once after tx has committed, and never if tx
// is rolled back. Correlation, causation, tenant and trace context are taken from ctx.
//
// Events with the same subject are published in the order in which they were written. Two transactions that write events
// of one aggregate must exclude each other for that, for example by locking its row first.
//
// Publish returns ErrNoTransaction or ErrNoBus if tx is not a transaction of a handle that New was called with, an error
// that describes what is wrong with eto, or the database's error. After an error the transaction should be rolled back.
func Publish(ctx context.Context, tx *gorm.DB, eto ETO, opts ...PublishOption) error {
	if err := publish(ctx, tx, eto, opts); err != nil {
		return fmt.Errorf("publish %s: %w", eto.EventType(), err)
	}
	return nil
}

func publish(ctx context.Context, tx *gorm.DB, eto ETO, opts []PublishOption) (err error) {
	t, err := transactionFrom(tx)
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
	ctx, span := t.plugin.tracing.Create(ctx, &env.Metadata)
	defer func() { telemetry.EndSpan(span, errorType(err), err) }()
	body, err := json.Marshal(env)
	if err != nil {
		return err
	}
	if err := outbox.Insert(ctx, t, t.plugin.dialect, env.Metadata, declared.Mandatory, body, p.availableAt); err != nil {
		return err
	}
	t.published = true
	return nil
}
