package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestConsume_AcknowledgesHandledDeliveries(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	tr := newTransport(t, url, rabbitmq.Config{})
	const n = 100
	seen := make(chan transport.Delivery, n)
	stop := consume(t, tr, consumer(q, 4, func(d transport.Delivery) transport.Outcome {
		seen <- d
		return transport.Outcome{}
	}))
	publish(t, tr, newMessages(n)...)
	bodies := map[string]bool{}
	for range n {
		d := receive(t, "delivery", seen)
		if d.Attempt != 1 || !d.FirstFailedAt.IsZero() || d.LastError != "" {
			t.Errorf("first delivery: %+v", d)
		}
		bodies[string(d.Body)] = true
	}
	if len(bodies) != n {
		t.Errorf("%d of %d arrived", len(bodies), n)
	}
	stop()
	if left := countReady(t, operator(t, url), rabbitmq.QueueName(q)); left != 0 {
		t.Errorf("%d were not acknowledged", left)
	}
}

func TestConsume_RetriesInOrderThenDeadLetters(t *testing.T) {
	t.Parallel()
	q := newQueue(50*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond)
	url := brokerWith(t, q)
	tr := newTransport(t, url, rabbitmq.Config{})
	type visit struct {
		transport.Delivery
		at time.Time
	}
	visits := make(chan visit, 10)
	consume(t, tr, consumer(q, 2, func(d transport.Delivery) transport.Outcome {
		visits <- visit{d, time.Now()}
		first := d.FirstFailedAt
		if first.IsZero() {
			first = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		}
		o := transport.Outcome{Action: transport.Retry, Err: fmt.Errorf("failure %d", d.Attempt), FirstFailedAt: first, Attempt: d.Attempt, TraceParent: fmt.Sprintf("attempt %d", d.Attempt)}
		if d.Attempt <= len(q.RetryDelays) {
			o.Delay = q.RetryDelays[d.Attempt-1]
		} else {
			o.Action, o.Reason = transport.DeadLetter, transport.ReasonFailed
		}
		return o
	}))
	m := newMessage("1")
	m.TraceParent = "00-1-2-01"
	publish(t, tr, m)

	var before visit
	for i := range 4 {
		got := receive(t, "delivery", visits)
		want := transport.Delivery{Body: m.Body, Attempt: i + 1}
		if i > 0 {
			want.FirstFailedAt = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
			want.LastError = fmt.Sprintf("failure %d", i)
			want.TraceParent = fmt.Sprintf("attempt %d", i)
			if waited := got.at.Sub(before.at); waited < q.RetryDelays[i-1] {
				t.Errorf("attempt %d came after %v", got.Attempt, waited)
			}
		}
		if diff := cmp.Diff(want, got.Delivery); diff != "" {
			t.Error(diff)
		}
		before = got
	}

	ch := operator(t, url)
	dead := takeMessage(t, ch, rabbitmq.DeadLetterQueueName(q))
	deadAt, err := time.Parse(time.RFC3339Nano, fmt.Sprint(dead.Headers["dead-lettered-at"]))
	if err != nil || time.Since(deadAt) < 0 {
		t.Errorf("dead at %v: %v", dead.Headers["dead-lettered-at"], err)
	}
	want := amqp.Table{
		"retry-attempt": int64(4), "retry-first-failed-at": "2026-01-02T03:04:05.000000006Z", "retry-last-error": "failure 4",
		"dead-letter-reason": "failed", "dead-letter-queue": rabbitmq.QueueName(q), "traceparent": "00-1-2-01", "retry-traceparent": "attempt 4",
	}
	ignored := cmpopts.IgnoreMapEntries(func(name string, _ any) bool {
		return name == "dead-lettered-at" || name == "publish-number" || name == "x-delivery-count"
	})
	if diff := cmp.Diff(want, dead.Headers, ignored); diff != "" {
		t.Error(diff)
	}
	if dead.MessageId != "1" || dead.Type != m.Type || dead.ContentType != transport.ContentType || string(dead.Body) != string(m.Body) {
		t.Errorf("the dead letter has changed: %+v", dead)
	}
	for _, name := range []string{rabbitmq.QueueName(q), rabbitmq.RetryQueueName(q, 50*time.Millisecond), rabbitmq.RetryQueueName(q, 100*time.Millisecond), rabbitmq.RetryQueueName(q, 200*time.Millisecond)} {
		if n := countReady(t, ch, name); n != 0 {
			t.Errorf("%d left in %s", n, name)
		}
	}
}

// The confirm of a retry is lost: the delivery must not be acknowledged, so that the message is duplicated and not lost.
// The first connection, which is stalled, is that for publishing.
func TestConsume_ConfirmsRetryBeforeAcknowledging(t *testing.T) {
	t.Parallel()
	q := newQueue(10 * time.Millisecond)
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	tr := newTransport(t, p.url, rabbitmq.Config{ConfirmTimeout: time.Second})
	publish(t, tr, newMessage("1"))
	p.stall(false, true)
	handled := make(chan transport.Delivery, 1)
	stop := consume(t, tr, consumer(q, 1, func(d transport.Delivery) transport.Outcome {
		handled <- d
		return transport.Outcome{Action: transport.Retry, Err: errors.New("no")}
	}))
	receive(t, "delivery", handled)
	ch := operator(t, url)
	eventually(t, "retry on the broker", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) > 0 })
	stop()
	attempts := map[any]bool{}
	eventually(t, "original", func() bool {
		attempts[takeMessage(t, ch, rabbitmq.QueueName(q)).Headers["retry-attempt"]] = true
		return attempts[nil]
	})
}

func TestConsume_RepeatsFailedRetryPublish(t *testing.T) {
	t.Parallel()
	q := newQueue(10 * time.Millisecond)
	url := brokerWith(t, q)
	ch := operator(t, url)
	if err := ch.QueueUnbind(rabbitmq.RetryQueueName(q, q.RetryDelays[0]), rabbitmq.RetryQueueName(q, q.RetryDelays[0]), "inventory.retry", nil); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	tr := newTransport(t, url, rabbitmq.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	seen := make(chan int, 10)
	consume(t, tr, consumer(q, 1, func(d transport.Delivery) transport.Outcome {
		seen <- d.Attempt
		if d.Attempt > 1 {
			return transport.Outcome{}
		}
		return transport.Outcome{Action: transport.Retry, Err: errors.New("no")}
	}))
	publish(t, tr, newMessage("1"))
	receive(t, "delivery", seen)
	eventually(t, "log line", func() bool { return strings.Contains(log.String(), rabbitmq.RetryQueueName(q, q.RetryDelays[0])) })
	apply(t, url, q)
	if attempt := receive(t, "retry", seen); attempt != 2 {
		t.Errorf("attempt %d", attempt)
	}
}

func TestConsume_RequeuesAndWaitsUntilReady(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	tr := newTransport(t, url, rabbitmq.Config{})
	var unavailable atomic.Bool
	unavailable.Store(true)
	resume := make(chan struct{})
	waiting := make(chan struct{}, 100)
	seen := make(chan transport.Delivery, 10)
	var readied atomic.Int32
	c := consumer(q, 2, func(d transport.Delivery) transport.Outcome {
		if unavailable.Load() {
			return transport.Outcome{Action: transport.Requeue, Err: errors.New("database unavailable")}
		}
		seen <- d
		return transport.Outcome{}
	})
	c.Ready = func(ctx context.Context) error {
		if readied.Add(1) == 1 {
			return nil
		}
		waiting <- struct{}{}
		select {
		case <-resume:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	consume(t, tr, c)
	publish(t, tr, newMessages(5)...)
	receive(t, "call to Ready", waiting)
	ch := operator(t, url)
	eventually(t, "deliveries back in the queue", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) == 5 })
	unavailable.Store(false)
	close(resume)
	for range 5 {
		if d := receive(t, "delivery", seen); d.Attempt != 1 {
			t.Errorf("attempt %d was counted", d.Attempt)
		}
	}
}

func TestConsume_StopFinishesRunningHandlers(t *testing.T) {
	t.Parallel()
	q := newQueue(time.Minute)
	url := brokerWith(t, q)
	tr := newTransport(t, url, rabbitmq.Config{})
	publish(t, tr, newMessages(10)...)
	running, finish := make(chan struct{}, 10), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- tr.Consume(ctx, []transport.Consumer{consumer(q, 3, func(d transport.Delivery) transport.Outcome {
			running <- struct{}{}
			<-finish
			if strings.Contains(string(d.Body), `"1"`) {
				return transport.Outcome{Action: transport.Retry, Err: errors.New("no")}
			}
			return transport.Outcome{}
		})})
	}()
	for range 3 {
		receive(t, "delivery", running)
	}
	cancel()
	ch := operator(t, url)
	// Messages that arrive from now on must not be handled.
	publish(t, tr, newMessages(5)...)
	select {
	case err := <-done:
		t.Fatalf("ended before its handlers: %v", err)
	default:
	}
	close(finish)
	if err := receive(t, "end", done); err != nil {
		t.Error(err)
	}
	if len(running) > 0 {
		t.Errorf("%d handlers were started after the end", len(running))
	}
	eventually(t, "remaining messages in the queue", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) == 12 })
	eventually(t, "message in its retry queue", func() bool { return countReady(t, ch, rabbitmq.RetryQueueName(q, time.Minute)) == 1 })
}

func TestConsume_IgnoresArrivalsWhileStopping(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	seen := make(chan struct{}, 10)
	stop := consume(t, newTransport(t, p.url, rabbitmq.Config{}), consumer(q, 1, func(transport.Delivery) transport.Outcome {
		seen <- struct{}{}
		return transport.Outcome{}
	}))
	sender := newTransport(t, url, rabbitmq.Config{})
	publish(t, sender, newMessage("1"))
	receive(t, "delivery", seen)

	p.stall(false, true)
	ch := operator(t, url)
	publish(t, sender, newMessage("2"))
	eventually(t, "delivery under way", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) == 0 })
	before := p.sent.Load()
	var stopped sync.WaitGroup
	stopped.Go(stop)
	eventually(t, "cancel under way", func() bool { return p.sent.Load() > before })
	p.stall(false, false)
	stopped.Wait()
	if len(seen) > 0 {
		t.Error("a delivery was started")
	}
	eventually(t, "delivery back in the queue", func() bool { return countReady(t, ch, rabbitmq.QueueName(q)) == 1 })
}

func TestConsume_SurvivesDeletedQueue(t *testing.T) {
	t.Parallel()
	deleted, other := newQueue(), newQueue()
	other.Handler = "order-counted"
	url := brokerWith(t, deleted, other)
	var log logBuffer
	tr := newTransport(t, url, rabbitmq.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	at := map[string]chan string{deleted.Handler: make(chan string, 10), other.Handler: make(chan string, 10)}
	var consumers []transport.Consumer
	for _, q := range []transport.Queue{deleted, other} {
		consumers = append(consumers, consumer(q, 1, func(d transport.Delivery) transport.Outcome {
			at[q.Handler] <- string(d.Body)
			return transport.Outcome{}
		}))
	}
	consume(t, tr, consumers...)
	publish(t, tr, newMessage("1"))
	receive(t, "delivery", at[deleted.Handler])
	receive(t, "delivery", at[other.Handler])

	if _, err := operator(t, url).QueueDelete(rabbitmq.QueueName(deleted), false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "log line", func() bool { return strings.Contains(log.String(), "cancelled the consumer") })
	publish(t, tr, newMessage("2"))
	receive(t, "delivery to the other", at[other.Handler])

	apply(t, url, deleted, other)
	publish(t, tr, newMessage("3"))
	if got := receive(t, "delivery after the repair", at[deleted.Handler]); got != string(newMessage("3").Body) {
		t.Errorf("got %s", got)
	}
	if lines := strings.Count(log.String(), "\n"); lines > 3 {
		t.Errorf("too many log lines:\n%s", log.String())
	}
}

func TestConsume_ReplacesHalfOpenConnection(t *testing.T) {
	t.Parallel()
	q := newQueue()
	url := brokerWith(t, q)
	p := newProxy(t, url, nil)
	tr := newTransport(t, p.url, rabbitmq.Config{Heartbeat: time.Second})
	seen := make(chan string, 10)
	consume(t, tr, consumer(q, 1, func(d transport.Delivery) transport.Outcome {
		seen <- string(d.Body)
		return transport.Outcome{}
	}))
	sender := newTransport(t, url, rabbitmq.Config{})
	publish(t, sender, newMessage("1"))
	receive(t, "delivery", seen)
	p.stall(true, true)
	publish(t, sender, newMessage("2"))
	for receive(t, "delivery", seen) != string(newMessage("2").Body) {
	}
}

func TestBrokerRestart_LosesNoMessage(t *testing.T) {
	t.Parallel()
	server := testservers.OwnBroker(t)
	q := newQueue(10 * time.Millisecond)
	apply(t, server.URL(), q)
	tr := newTransport(t, server.URL(), rabbitmq.Config{})
	var mu sync.Mutex
	seen := map[string]bool{}
	handled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	consume(t, tr, consumer(q, 8, func(d transport.Delivery) transport.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if d.Attempt == 1 && len(seen)%10 == 0 {
			return transport.Outcome{Action: transport.Retry, Err: errors.New("no")}
		}
		seen[string(d.Body)] = true
		return transport.Outcome{}
	}))

	enough := make(chan struct{})
	type result struct{ confirmed, failed int }
	published := make(chan result, 1)
	go func() {
		var r result
		var msgs []transport.Message
		pause := time.NewTicker(50 * time.Millisecond)
		defer pause.Stop()
		for more := true; more || len(msgs) > 0; {
			// One message at a time if the consumer is slow: some publish must meet the restart.
			ahead := r.confirmed-handled() > 1000
			select {
			case <-enough:
				more = false
			case <-t.Context().Done():
				return
			default:
				for len(msgs) < 20 && (!ahead || len(msgs) == 0) {
					msgs = append(msgs, newMessage(fmt.Sprint(r.confirmed+len(msgs), "-", r.failed)))
				}
			}
			var again []transport.Message
			for i, err := range tr.Publish(t.Context(), msgs) {
				if err != nil {
					again = append(again, msgs[i])
					r.failed++
				} else {
					r.confirmed++
				}
			}
			if msgs = again; ahead || len(msgs) > 0 {
				<-pause.C
			}
		}
		published <- r
	}()
	// In this order: a quorum queue of RabbitMQ 3.10 does not survive a kill within seconds of its declaration.
	for _, end := range []func(testing.TB){server.Stop, server.Kill} {
		before := handled()
		eventually(t, "traffic", func() bool { return handled() > before+500 })
		end(t)
		server.Start(t)
	}
	close(enough)
	r := receive(t, "all confirms", published)
	eventually(t, "every message", func() bool { return handled() == r.confirmed })
	if r.failed == 0 {
		t.Error("no publish met the restart")
	}
	t.Logf("%d messages, %d outcomes unknown", r.confirmed, r.failed)
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
