package relay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/quadrille-dev/quadrille/pkg/events/internal/dialect"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/outbox"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/retry"
	"github.com/quadrille-dev/quadrille/pkg/events/internal/telemetry"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// errLeaseExpired means that the lease under which a batch was read may have ended before the batch was sent.
var errLeaseExpired = errors.New("events: the outbox lease expired before the batch was sent")

// batch is a set of rows on their way to the broker. Rows of one subject are in successive rounds: a row is sent only
// after the broker has confirmed the one before it.
type batch struct {
	generation int64 // of the lease
	leaseUntil time.Time
	subjects   map[string]int // number of rows
	rounds     [][]outbox.Row
	ids        []int64

	// The outcome.
	unroutable error // the broker returned a mandatory message
	brokerErr  error // the outcome of some rows is unknown
	err        error // the outcome could not be stored
}

// shortRounds is the number of rounds of a short batch. Only one batch at a time may be longer: a subject with many rows
// takes long, since they are sent one after the other, and must not keep others waiting.
const shortRounds = 8

// newBatch makes a batch of the rows whose subject is not in flight, and of heads whose subject is not among them. A short
// one leaves later rows of a subject behind. It returns nil if there are none.
func newBatch(rows, heads []outbox.Row, generation int64, leaseUntil time.Time, inFlight func(subject string) bool, short bool) *batch {
	b := &batch{generation: generation, leaseUntil: leaseUntil, subjects: map[string]int{}}
	for _, row := range rows {
		if !inFlight(row.Subject) && (!short || b.subjects[row.Subject] < shortRounds) {
			b.add(row)
		}
	}
	for _, row := range heads {
		if !inFlight(row.Subject) && b.subjects[row.Subject] == 0 {
			b.add(row)
		}
	}
	if len(b.ids) == 0 {
		return nil
	}
	return b
}

func (b *batch) add(row outbox.Row) {
	round := b.subjects[row.Subject]
	b.subjects[row.Subject]++
	if round == len(b.rounds) {
		b.rounds = append(b.rounds, nil)
	}
	b.rounds[round] = append(b.rounds[round], row)
	b.ids = append(b.ids, row.ID)
}

func (b *batch) long() bool { return len(b.rounds) > shortRounds }

// sender publishes batches and stores their outcome.
type sender struct {
	cfg       Config
	outbox    outbox.Outbox
	transport transport.Transport
	log       *slog.Logger
	metrics   *telemetry.Metrics
	tracing   telemetry.Tracing
}

// send publishes a batch round by round and blocks until its outcome is stored.
func (s *sender) send(ctx context.Context, b *batch) {
	var (
		confirmed []int64
		blocks    []dialect.Block
		failed    = map[string]bool{} // subjects whose later rows stay behind
	)
	fail := func(row outbox.Row, outcome error) {
		failed[row.Subject] = true
		if block, known := s.block(ctx, row, outcome); known {
			blocks = append(blocks, block)
		} else {
			b.brokerErr = outcome
		}
		if errors.Is(outcome, transport.ErrUnroutable) {
			b.unroutable = outcome
		}
	}
	for _, round := range b.rounds {
		var (
			rows     []outbox.Row
			messages []transport.Message
		)
		for _, row := range round {
			if failed[row.Subject] {
				continue
			}
			m, err := row.Message(s.cfg.Service)
			if err != nil {
				fail(row, errors.Join(transport.ErrRejected, err))
				continue
			}
			rows, messages = append(rows, row), append(messages, m)
		}
		if len(rows) == 0 || b.brokerErr != nil {
			break
		}
		if s.cfg.Now().After(b.leaseUntil) {
			b.err = errLeaseExpired
			break
		}
		for i, outcome := range s.publish(ctx, rows, messages) {
			if outcome == nil {
				confirmed = append(confirmed, rows[i].ID)
			} else {
				fail(rows[i], outcome)
			}
		}
	}
	if len(blocks) > 0 {
		b.err = errors.Join(b.err, s.outbox.Block(ctx, b.generation, blocks, s.cfg.Now()))
	}
	if len(confirmed) == 0 {
		return
	}
	if err := s.outbox.Complete(ctx, b.generation, confirmed, s.cfg.Now()); err != nil {
		b.err = errors.Join(b.err, err)
	}
}

// publish passes rows to the transport and returns the outcome of each.
func (s *sender) publish(ctx context.Context, rows []outbox.Row, messages []transport.Message) (outcomes []error) {
	spans := make([]trace.Span, len(rows))
	for i, m := range messages {
		spans[i] = s.tracing.Publish(ctx, m.Metadata, rows[i].CreatedAt)
	}
	timed, cancel := context.WithTimeout(ctx, s.cfg.PublishTimeout)
	defer cancel()
	outcomes = s.transport.Publish(timed, messages)
	now := s.cfg.Now()
	for i, outcome := range outcomes {
		telemetry.EndSpan(spans[i], telemetry.PublishErrorType(outcome), outcome)
		s.metrics.Published(ctx, messages[i].Type, outcome, now.Sub(rows[i].CreatedAt))
	}
	return outcomes
}

// block returns the new state of a row that the broker did not accept. known is false if its outcome is unknown.
func (s *sender) block(ctx context.Context, row outbox.Row, outcome error) (b dialect.Block, known bool) {
	now := s.cfg.Now()
	b = dialect.Block{ID: row.ID, Cause: outcome.Error(), Rejected: errors.Is(outcome, transport.ErrRejected)}
	switch {
	case errors.Is(outcome, transport.ErrUnroutable):
		// The delay grows with the age of the row: a missing queue costs little, and one that appears is found soon.
		b.Until = now.Add(min(max(now.Sub(row.CreatedAt)/2, 500*time.Millisecond), 15*time.Second))
	case b.Rejected && row.Rejections+1 >= s.cfg.MaxPublishAttempts:
		b.Parked = true
		s.metrics.Parked(ctx)
		s.log.ErrorContext(ctx, "event parked: the broker rejects it", "row", row.ID, "subject", row.Subject, "error", outcome)
	case b.Rejected:
		b.Until = now.Add(retry.Delay(200*time.Millisecond, time.Minute, row.Rejections, s.cfg.Jitter))
	default:
		return b, false
	}
	return b, true
}
