package rabbitmq

import (
	"strings"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Our headers. Those of the retry say what happened to a message before this delivery.
const (
	headerAttempt       = "retry-attempt"         // deliveries so far that count; the next one's Attempt is one more
	headerFirstFailedAt = "retry-first-failed-at" // RFC 3339, UTC
	headerLastError     = "retry-last-error"      // shortened to a KiB
	headerRetryTrace    = "retry-traceparent"     // of the last attempt

	headerDeadLetterReason = "dead-letter-reason" // an events.DeadReason
	headerDeadLetterQueue  = "dead-letter-queue"  // the queue it came from
	headerDeadLetteredAt   = "dead-lettered-at"   // RFC 3339, UTC

	// headerNumber finds the message that the broker returns: a return has no tag, and message_id may be in flight
	// twice.
	headerNumber = "publish-number"

	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

const (
	maxShortString = 255 // of AMQP: names and most properties
	maxErrorText   = 1 << 10
	maxTraceHeader = 4 << 10
)

// letter is a message with its address on the way to the broker, and what became of it.
type message struct {
	exchange, key string
	mandatory     bool
	publishing    amqp.Publishing
	number        int64
	err           error
}

// letterOf addresses an event. The properties repeat the envelope for the broker's tools; what does not fit there
// is shortened, the envelope has it whole.
func newMessage(m transport.Message) *message {
	l := &message{
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
			l.publishing.Headers[name] = value
		}
	}
	return l
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
