// Package telemetry holds the library's metrics and spans.
package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// OpenTelemetry's conventions for messaging are still in development. Every name taken from them is in this package, in
// the version imported above.

const scope = "github.com/quadrille-dev/quadrille/pkg/events"

// Instruments that the conventions name, and attributes that they do not.
const (
	nameSentMessages     = "messaging.client.sent.messages"
	nameConsumedMessages = "messaging.client.consumed.messages"
	nameProcessDuration  = "messaging.process.duration"

	attemptKey    = attribute.Key("events.attempt")     // 1 for the first
	linkReasonKey = attribute.Key("events.link.reason") // one of the following
)

// Why a span is linked to an earlier one.
const (
	linkRetry     = "retry"     // to the attempt that failed
	linkReplay    = "replay"    // to the attempt that ended in the dead letters
	linkScheduled = "scheduled" // to the creation
)

// Values of error.type.
const (
	ErrorUnroutable  = "unroutable"  // no queue is bound
	ErrorRejected    = "rejected"    // by the broker
	ErrorUnconfirmed = "unconfirmed" // the outcome is unknown
	ErrorPermanent   = "permanent"   // the handler returned Permanent
	ErrorUndecodable = "undecodable" // the data does not fit the ETO
	ErrorUnavailable = "unavailable" // the database or an external system cannot be reached
	ErrorLocked      = "locked"      // another transaction keeps a lock that the handler needs
	ErrorTimeout     = "timeout"     // of the handler
	ErrorOther       = "_OTHER"      // as the conventions name it
)

const errorKey = semconv.ErrorTypeKey

// PublishErrorType returns the error.type of an outcome of Transport.Publish.
func PublishErrorType(outcome error) string {
	switch {
	case outcome == nil:
		return ""
	case errors.Is(outcome, transport.ErrUnroutable):
		return ErrorUnroutable
	case errors.Is(outcome, transport.ErrRejected):
		return ErrorRejected
	default:
		return ErrorUnconfirmed
	}
}

// messaging returns the attributes that spans and metrics share.
func messaging(names transport.Names, operation, destination string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String(names.System()), semconv.MessagingOperationName(operation),
		semconv.MessagingDestinationName(destination),
	}
}
