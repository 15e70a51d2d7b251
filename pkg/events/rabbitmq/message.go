package rabbitmq

import (
	"strings"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Headers. Those of retries describe the earlier attempts of a message.
const (
	headerAttempt       = "retry-attempt"         // attempts so far that count; the Attempt of the next delivery is one more
	headerFirstFailedAt = "retry-first-failed-at" // RFC 3339, UTC
	headerLastError     = "retry-last-error"      // shortened to a KiB
	headerRetryTrace    = "retry-traceparent"     // of the last attempt

	headerDeadLetterReason = "dead-letter-reason" // a transport.Reason
	headerDeadLetterQueue  = "dead-letter-queue"  // the queue it came from
	headerDeadLetteredAt   = "dead-lettered-at"   // RFC 3339, UTC

	headerDroppedHeaders = "dropped-headers" // how many were too long to be forwarded, and their size

	// headerUndecodable replaces headers that amqp091-go cannot decode, and says why. See contentFilter.
	headerUndecodable = "undecodable-headers"

	// headerNumber identifies the message that the broker returns: a return has no delivery tag, and two unconfirmed
	// messages may have the same message_id.
	headerNumber = "publish-number"

	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

const (
	maxShortString = 255 // of AMQP: names and most properties
	maxErrorText   = 1 << 10
	maxTraceHeader = 4 << 10
	// maxForwardedHeaders is the size of a delivery's headers above which they are not forwarded. Together with those that
	// forwarding adds they must fit into one frame, which the broker limits to 128 KiB by default.
	maxForwardedHeaders = 64 << 10
)

// message is an AMQP message with its address and, after publishing, its outcome.
type message struct {
	exchange, key string
	mandatory     bool
	publishing    amqp.Publishing
	number        int64
	err           error
}

// newMessage addresses an event. The properties repeat the envelope's metadata for the broker's tools, shortened to what
// AMQP allows.
func newMessage(m transport.Message) *message {
	msg := &message{
		exchange:  ExchangeName(m.Publisher),
		key:       m.Type,
		mandatory: m.Mandatory,
		publishing: amqp.Publishing{
			MessageId:     cut(m.ID, maxShortString),
			Type:          cut(m.Type, maxShortString),
			AppId:         cut(m.Publisher, maxShortString),
			CorrelationId: cut(m.CorrelationID, maxShortString),
			Timestamp:     m.Time,
			ContentType:   transport.ContentType,
			DeliveryMode:  amqp.Persistent,
			Headers:       amqp.Table{},
			Body:          m.Body,
		},
	}
	for name, value := range map[string]string{headerTraceParent: m.TraceParent, headerTraceState: m.TraceState} {
		if value != "" && len(value) <= maxTraceHeader {
			msg.publishing.Headers[name] = value
		}
	}
	return msg
}

// cut shortens s to n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
