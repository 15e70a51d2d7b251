package events_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// traced returns a configuration, the recorder of its spans, and a tracer.
func traced(t *testing.T) (events.Config, *tracetest.SpanRecorder, trace.Tracer) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	cfg := config()
	cfg.TracerProvider = provider
	cfg.RetryDelays = []time.Duration{time.Second}
	return cfg, recorder, provider.Tracer("test")
}

// spans waits for n ended spans of an operation, oldest first.
func spans(t *testing.T, r *tracetest.SpanRecorder, operation string, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	eventually(t, operation, func() bool {
		found = nil
		for _, s := range r.Ended() {
			if text(s, "messaging.operation.name") == operation {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	return found
}

func text(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	set := attribute.NewSet(s.Attributes()...)
	v, _ := set.Value(key)
	return v.String()
}

func link(s sdktrace.ReadOnlySpan) (to trace.SpanID, why string) {
	if len(s.Links()) != 1 {
		return to, ""
	}
	l := s.Links()[0]
	return l.SpanContext.SpanID(), l.Attributes[0].Value.AsString()
}

func TestTracing_SpansFromCreationToEffect(t *testing.T) {
	t.Parallel()
	cfg, recorded, tracer := traced(t)
	cfg.NewID = func() string { return "id-1" }
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, cfg, handle(func(ctx context.Context, tx *gorm.DB, _ events.Received[orderCreated]) error {
		return events.Publish(ctx, tx, orderSeen{OrderID: "o"})
	}))

	ctx, request := tracer.Start(events.WithCorrelationID(t.Context(), "flow"), "request")
	if err := db.Transaction(func(tx *gorm.DB) error {
		return events.Publish(ctx, tx, orderCreated{OrderID: "o"})
	}); err != nil {
		t.Fatal(err)
	}
	request.End()
	sent := tr.WaitFor(t, "order.created.v1", "o")
	create := spans(t, recorded, "create", 1)[0]
	publish := spans(t, recorded, "publish", 1)[0]
	if create.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Errorf("created under %v", create.Parent())
	}
	if want := "00-" + create.SpanContext().TraceID().String() + "-" + create.SpanContext().SpanID().String() + "-01"; sent.TraceParent != want {
		t.Errorf("the envelope has %s, want %s", sent.TraceParent, want)
	}
	if publish.Parent().SpanID() != create.SpanContext().SpanID() || len(publish.Links()) != 0 {
		t.Errorf("published under %v, linked to %v", publish.Parent(), publish.Links())
	}

	consumed := eventstest.Enveloped(sent)
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}, consumed); v.Action != transport.Ack {
		t.Fatalf("outcome %+v", v)
	}
	process := spans(t, recorded, "process", 1)[0]
	if process.Parent().SpanID() != create.SpanContext().SpanID() || len(process.Links()) != 0 {
		t.Errorf("processed under %v, linked to %v", process.Parent(), process.Links())
	}
	if effect := spans(t, recorded, "create", 2)[1]; effect.Parent().SpanID() != process.SpanContext().SpanID() {
		t.Errorf("the effect was created under %v", effect.Parent())
	}

	for _, c := range []struct {
		span        sdktrace.ReadOnlySpan
		kind        trace.SpanKind
		opType      string
		destination string
	}{
		{create, trace.SpanKindProducer, "create", "order:order.created.v1"},
		{publish, trace.SpanKindClient, "send", "order:order.created.v1"},
		{process, trace.SpanKindConsumer, "process", "order:order.created.v1:order.order-created"},
	} {
		operation := text(c.span, "messaging.operation.name")
		if got, want := c.span.Name(), operation+" "+c.destination; got != want || c.span.SpanKind() != c.kind {
			t.Errorf("%v span %q, want %v span %q", c.span.SpanKind(), got, c.kind, want)
		}
		want := map[attribute.Key]string{
			"messaging.system": "eventstest", "messaging.operation.name": operation, "messaging.operation.type": c.opType,
			"messaging.destination.name": c.destination, "messaging.message.id": "id-1",
			"messaging.message.conversation_id": "flow", "cloudevents.event_id": "id-1", "cloudevents.event_subject": "o",
			"cloudevents.event_type": "order.created.v1", "cloudevents.event_source": "/order",
		}
		if c.kind == trace.SpanKindConsumer {
			want["messaging.consumer.group.name"], want["events.attempt"] = "order.order-created", "1"
		}
		got := map[attribute.Key]string{}
		for _, a := range c.span.Attributes() {
			got[a.Key] = a.Value.String()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.span.Name(), diff)
		}
	}
}

func TestTracing_LinksRetriesAndScheduledEvents(t *testing.T) {
	t.Parallel()
	cfg, recorded, _ := traced(t)
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, cfg, handle(func(_ context.Context, _ *gorm.DB, e events.Received[orderCreated]) error {
		if e.Attempt <= 2 {
			return errors.New("not yet")
		}
		return nil
	}))

	again := eventstest.WithID("e")
	v := tr.Deliver(t, orderCreated{OrderID: "o"}, again)
	v = tr.Deliver(t, orderCreated{OrderID: "o"}, again, eventstest.Following(v))
	if v.Action != transport.DeadLetter {
		t.Fatalf("outcome %+v", v)
	}
	tr.Deliver(t, orderCreated{OrderID: "o"}, again, eventstest.Following(v))
	attempts := spans(t, recorded, "process", 3)
	if len(attempts[0].Links()) != 0 {
		t.Errorf("the first attempt is linked to %v", attempts[0].Links())
	}
	for i, why := range []string{"retry", "replay"} {
		if to, got := link(attempts[i+1]); got != why || to != attempts[i].SpanContext().SpanID() {
			t.Errorf("attempt %d is linked to %v because of %q, want %v, %s", i+2, to, got, attempts[i].SpanContext().SpanID(), why)
		}
	}
	for i, want := range []string{"_OTHER", "_OTHER", ""} {
		if got := text(attempts[i], "error.type"); got != want {
			t.Errorf("attempt %d has error.type %q, want %q", i+1, got, want)
		}
	}

	if err := db.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, orderCreated{OrderID: "later"}, events.WithDelay(50*time.Millisecond))
	}); err != nil {
		t.Fatal(err)
	}
	create, publish := spans(t, recorded, "create", 1)[0], spans(t, recorded, "publish", 1)[0]
	if to, why := link(publish); why != "scheduled" || to != create.SpanContext().SpanID() || publish.Parent().SpanID() != to {
		t.Errorf("the scheduled event was published under %v, linked to %v because of %q", publish.Parent(), to, why)
	}
}

// The type of an error is an attribute of metrics, so there must be few types.
func TestTracing_ErrorType(t *testing.T) {
	t.Parallel()
	for want, outcome := range map[string]error{
		"unroutable": transport.ErrUnroutable, "rejected": transport.ErrRejected, "unconfirmed": errors.New("connection lost"),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cfg, recorded, _ := traced(t)
			db, tr := database(t), eventstest.NewTransport()
			tr.FailNext(outcome)
			start(t, db, tr, cfg)
			publish(t, db, orderCreated{OrderID: "o"})
			sent := spans(t, recorded, "publish", 2)
			if got := text(sent[0], "error.type"); got != want {
				t.Errorf("error.type %q", got)
			}
			if got := text(sent[1], "error.type"); got != "" {
				t.Errorf("the second sending has error.type %q", got)
			}
		})
	}
	for want, outcome := range map[string]error{
		"permanent": events.Permanent(errNo), "timeout": context.DeadlineExceeded, "_OTHER": errNo,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cfg, recorded, _ := traced(t)
			db, tr := database(t), eventstest.NewTransport()
			start(t, db, tr, cfg, handleWith(outcome))
			tr.Deliver(t, orderCreated{OrderID: "o"})
			if got := text(spans(t, recorded, "process", 1)[0], "error.type"); got != want {
				t.Errorf("error.type %q", got)
			}
		})
	}
}

func TestFromContext_ReturnsHandledEvent(t *testing.T) {
	t.Parallel()
	cfg := config()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, cfg, handle(func(ctx context.Context, _ *gorm.DB, e events.Received[orderCreated]) error {
		m, ok := events.FromContext(ctx)
		if diff := cmp.Diff(e.Metadata, m, cmpopts.EquateEmpty()); !ok || diff != "" {
			t.Errorf("%v %s", ok, diff)
		}
		return nil
	}))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack {
		t.Errorf("outcome %+v", v)
	}
	if _, ok := events.FromContext(t.Context()); ok {
		t.Error("FromContext returned an event outside of handlers")
	}
}
