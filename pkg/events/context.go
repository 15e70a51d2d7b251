package events

import "context"

type contextKey int

const (
	correlationKey contextKey = iota
	causationKey
	tenantKey
	eventKey
)

// WithCorrelationID returns a context that names the business flow its work belongs to.
// [Publish] copies the id into every event; the bus sets it before it calls a reaction.
func WithCorrelationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey, id)
}

// CorrelationID returns the id of the business flow, or "" if the context names none.
func CorrelationID(ctx context.Context) string { return contextString(ctx, correlationKey) }

// WithCausationID returns a context that names what caused its work: a request, or an event.
// [Publish] copies the id into every event; the bus sets it to the received event's id.
func WithCausationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, causationKey, id)
}

// CausationID returns the id of the cause, or "" if the context names none.
func CausationID(ctx context.Context) string { return contextString(ctx, causationKey) }

// WithTenantID returns a context that names whose data its work is about.
// [Publish] copies the id into every event; the bus sets it before it calls a reaction.
func WithTenantID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, tenantKey, id)
}

// TenantID returns the tenant's id, or "" if the context names none.
func TenantID(ctx context.Context) string { return contextString(ctx, tenantKey) }

// FromContext returns what the envelope says of the event that a reaction was called for; false outside reactions.
func FromContext(ctx context.Context) (Metadata, bool) {
	m, ok := ctx.Value(eventKey).(Metadata)
	return m, ok
}

// withEvent returns the context of what happens because of an event, in the trace of its creation.
func withEvent(ctx context.Context, m Metadata) context.Context {
	ctx = WithTenantID(WithCausationID(WithCorrelationID(ctx, m.CorrelationID), m.ID), m.TenantID)
	return withTraceParent(context.WithValue(ctx, eventKey, m), m.TraceParent, m.TraceState)
}

func contextString(ctx context.Context, key contextKey) string {
	s, _ := ctx.Value(key).(string)
	return s
}
