package events

import (
	"context"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
)

type contextKey int

const (
	correlationKey contextKey = iota
	causationKey
	tenantKey
	eventKey
)

// WithCorrelationID returns a context with the id of a business flow. [Publish] copies it into every event, and the bus
// sets it before it calls a handler.
func WithCorrelationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey, id)
}

// CorrelationID returns the id of the business flow, or "" if ctx has none.
func CorrelationID(ctx context.Context) string { return contextString(ctx, correlationKey) }

// WithCausationID returns a context with the id of the request or event that caused its work. [Publish] copies it into
// every event, and the bus sets it to the id of the received event before it calls a handler.
func WithCausationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, causationKey, id)
}

// CausationID returns the id of the cause, or "" if ctx has none.
func CausationID(ctx context.Context) string { return contextString(ctx, causationKey) }

// WithTenantID returns a context with the id of the tenant. [Publish] copies it into every event, and the bus sets it
// before it calls a handler.
func WithTenantID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, tenantKey, id)
}

// TenantID returns the id of the tenant, or "" if ctx has none.
func TenantID(ctx context.Context) string { return contextString(ctx, tenantKey) }

// FromContext returns the metadata of the event that a handler was called for. ok is false outside handlers.
func FromContext(ctx context.Context) (m Metadata, ok bool) {
	m, ok = ctx.Value(eventKey).(Metadata)
	return m, ok
}

// withEvent returns the context of a handler, in the trace of the event's creation.
func withEvent(ctx context.Context, m Metadata) context.Context {
	ctx = WithTenantID(WithCausationID(WithCorrelationID(ctx, m.CorrelationID), m.ID), m.TenantID)
	return telemetry.WithTraceParent(context.WithValue(ctx, eventKey, m), m.TraceParent, m.TraceState)
}

func contextString(ctx context.Context, key contextKey) string {
	s, _ := ctx.Value(key).(string)
	return s
}
