package inprocess_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/utils/tests"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// timeout bounds each wait of a test.
const timeout = 2 * time.Minute

// Limits of the broker: how many events it reads at once, and how many subjects it looks up one by one.
const (
	pageSize     = 64
	subjectLimit = 8
)

// eachKind runs a test on databases of each kind.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Helper()
	for name, k := range map[string]kind{"sqlite": sqliteFiles, "postgres": postgresDatabases} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

func database(t *testing.T, k kind) *gorm.DB {
	t.Helper()
	return open(t, k.open(t, k.make(t)))
}

// connect returns a transport that only publishes, checks and consumes, and needs no database for that.
func connect(broker *inprocess.Broker) *inprocess.Transport { return broker.Transport(nil) }

// declare declares the topology of a service with these queues.
func declare(t *testing.T, broker *inprocess.Broker, db *gorm.DB, service string, queues ...transport.Queue) {
	t.Helper()
	if err := broker.Transport(db).Declare(t.Context(), transport.Topology{Service: service, Queues: queues}); err != nil {
		t.Fatal(err)
	}
}

func reads(service, handler string) transport.Queue {
	return transport.Queue{Service: service, Handler: handler, Publisher: "order", Type: "order.created.v1"}
}

func message(id, subject string) transport.Message {
	return transport.Message{
		Metadata:  events.Metadata{ID: id, Type: "order.created.v1", Subject: subject},
		Publisher: "order", Body: []byte("body of " + id),
	}
}

func publish(t *testing.T, broker *inprocess.Broker, msgs ...transport.Message) {
	t.Helper()
	if err := errors.Join(connect(broker).Publish(t.Context(), msgs)...); err != nil {
		t.Fatal(err)
	}
}

func waiting(t *testing.T, broker *inprocess.Broker, service, handler string) int {
	t.Helper()
	states, err := broker.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Service == service && s.Handler == handler {
			return s.Waiting
		}
	}
	return 0
}

// consume runs one consumer until the test ends.
func consume(t *testing.T, broker *inprocess.Broker, q transport.Queue, workers int, handle func(d transport.Delivery) transport.Outcome) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- connect(broker).Consume(ctx, []transport.Consumer{{
			Queue: q, Workers: workers, Handle: handle, Ready: func(context.Context) error { return nil },
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

// journal records deliveries.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) add(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, entry)
}

func (j *journal) entries() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.list)
}

func TestPublish_StoresForStoppedSubscribers(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		broker := inprocess.NewBroker(inprocess.Config{})
		orders, stock := database(t, k), database(t, k)
		declare(t, broker, orders, "order", reads("order", "own"))
		declare(t, broker, stock, "inventory", reads("inventory", "created"), reads("inventory", "filed"))
		publish(t, broker, message("1", "a"), message("2", "b"))
		for _, q := range []transport.Queue{reads("order", "own"), reads("inventory", "created"), reads("inventory", "filed")} {
			if n := waiting(t, broker, q.Service, q.Handler); n != 2 {
				t.Errorf("%s holds %d of 2 events", q, n)
			}
		}

		// After a restart they are still there.
		broker = inprocess.NewBroker(inprocess.Config{})
		declare(t, broker, orders, "order", reads("order", "own"))
		declare(t, broker, stock, "inventory", reads("inventory", "created"))
		var got journal
		consume(t, broker, reads("inventory", "created"), 1, func(d transport.Delivery) transport.Outcome {
			got.add(string(d.Body))
			return transport.Outcome{}
		})
		eventually(t, "both are delivered", func() bool { return waiting(t, broker, "inventory", "created") == 0 })
		if diff := cmp.Diff([]string{"body of 1", "body of 2"}, got.entries()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPublish_RequiresSubscribersOfEarlierRuns(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		orders, stock, parcels := database(t, k), database(t, k), database(t, k)
		first := inprocess.NewBroker(inprocess.Config{})
		declare(t, first, stock, "inventory", reads("inventory", "created"))
		declare(t, first, orders, "order")
		declare(t, first, parcels, "shipping", reads("shipping", "created"))

		// This time without shipping.
		broker := inprocess.NewBroker(inprocess.Config{})
		declare(t, broker, orders, "order")
		declare(t, broker, stock, "inventory", reads("inventory", "created"))
		err := connect(broker).Publish(t.Context(), []transport.Message{message("1", "a")})[0]
		if err == nil || errors.Is(err, transport.ErrUnroutable) || errors.Is(err, transport.ErrRejected) || !strings.Contains(err.Error(), "shipping.created") {
			t.Errorf("got %v, want an unknown outcome that names the missing queue", err)
		}
		if n := waiting(t, broker, "inventory", "created"); n != 0 {
			t.Errorf("%d events were stored although shipping could not store them", n)
		}
		declare(t, broker, parcels, "shipping", reads("shipping", "created"))
		publish(t, broker, message("1", "a"))
		if n := waiting(t, broker, "shipping", "created"); n != 1 {
			t.Errorf("shipping has %d events of 1", n)
		}

		// Once more without it, for good.
		broker = inprocess.NewBroker(inprocess.Config{})
		declare(t, broker, orders, "order")
		declare(t, broker, stock, "inventory", reads("inventory", "created"))
		if err := broker.Unbind(t.Context(), reads("shipping", "created")); err != nil {
			t.Fatal(err)
		}
		publish(t, broker, message("2", "a"))
	})
}

func TestPublish_StoresForOldQueueUntilUnbound(t *testing.T) {
	t.Parallel()
	orders, stock := database(t, sqliteFiles), database(t, sqliteFiles)
	first := inprocess.NewBroker(inprocess.Config{})
	declare(t, first, orders, "order")
	declare(t, first, stock, "inventory", reads("inventory", "old"))

	broker := inprocess.NewBroker(inprocess.Config{})
	declare(t, broker, orders, "order")
	declare(t, broker, stock, "inventory", reads("inventory", "new"))
	publish(t, broker, message("1", "a"))
	if err := broker.Unbind(t.Context(), reads("inventory", "old")); err != nil {
		t.Fatal(err)
	}
	publish(t, broker, message("2", "a"))
	states, err := broker.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []inprocess.QueueState{{Service: "inventory", Handler: "new", Waiting: 2}, {Service: "inventory", Handler: "old", Waiting: 1}}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

func TestPublish_Outcomes(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		broker := inprocess.NewBroker(inprocess.Config{})
		orders, stock := database(t, k), database(t, k)
		declare(t, broker, orders, "order")
		mandatory, unknown := message("1", "a"), message("2", "a")
		mandatory.Mandatory, unknown.Publisher = true, "unknown"
		got := connect(broker).Publish(t.Context(), []transport.Message{mandatory, message("3", "a"), unknown})
		for i, want := range []error{transport.ErrUnroutable, nil, transport.ErrUnroutable} {
			if !errors.Is(got[i], want) {
				t.Errorf("message %d: %v, want %v", i, got[i], want)
			}
		}

		declare(t, broker, stock, "inventory", reads("inventory", "created"))
		if err := stock.Exec("create unique index invalid on stored_inbox (event_id) where event_id = 'invalid'").Error; err != nil {
			t.Fatal(err)
		}
		publish(t, broker, message("invalid", "a"))
		got = connect(broker).Publish(t.Context(), []transport.Message{message("4", "a"), message("invalid", "b"), message("5", "c")})
		for i, want := range []error{nil, transport.ErrRejected, nil} {
			if !errors.Is(got[i], want) {
				t.Errorf("message %d: %v, want %v", i, got[i], want)
			}
		}
		if n := waiting(t, broker, "inventory", "created"); n != 3 {
			t.Errorf("%d of 3 events stored", n)
		}

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := connect(broker).Publish(ended, []transport.Message{message("6", "a")})[0]; !errors.Is(err, context.Canceled) || errors.Is(err, transport.ErrRejected) {
			t.Errorf("under a context that has ended: %v", err)
		}
		pool, err := stock.DB()
		if err != nil {
			t.Fatal(err)
		}
		_ = pool.Close()
		if err := connect(broker).Publish(t.Context(), []transport.Message{message("7", "a")})[0]; err == nil ||
			errors.Is(err, transport.ErrRejected) || errors.Is(err, transport.ErrUnroutable) {
			t.Errorf("without the subscriber's database: %v", err)
		}
	})
}

func TestConsume_KeepsOrderBehindFailure(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		broker := inprocess.NewBroker(inprocess.Config{})
		q := reads("inventory", "created")
		declare(t, broker, database(t, k), "order")
		declare(t, broker, database(t, k), "inventory", q)
		// More of the failing subject than the broker reads at once.
		var msgs []transport.Message
		for i := range 2 * pageSize {
			msgs = append(msgs, message(fmt.Sprint("a", i), "a"))
		}
		publish(t, broker, append(msgs, message("b0", "b"), message("b1", "b"))...)

		var got journal
		others := make(chan struct{})
		consume(t, broker, q, 4, func(d transport.Delivery) transport.Outcome {
			id := strings.TrimPrefix(string(d.Body), "body of ")
			got.add(fmt.Sprint(id, " ", d.Attempt))
			switch {
			case id == "a0" && d.Attempt < 3:
				return transport.Outcome{Action: transport.Retry, Delay: 300 * time.Millisecond, Err: errors.New("not yet")}
			case id == "a0":
				<-others
			case id == "b1":
				close(others)
			case id == "a1":
				return transport.Outcome{Action: transport.DeadLetter, Reason: transport.ReasonPermanent, Err: errors.New("never"), Attempt: 1}
			}
			return transport.Outcome{}
		})
		// While it waits, events of other subjects arrive, so many that the broker searches the table.
		eventually(t, "the failure", func() bool { return len(got.entries()) > 0 })
		msgs = nil
		for i := range 2 * subjectLimit {
			msgs = append(msgs, message(fmt.Sprint("c", i), fmt.Sprint("c", i)))
		}
		publish(t, broker, msgs...)
		eventually(t, "all are done", func() bool { return waiting(t, broker, "inventory", "created") == 0 })

		var a, b []string
		for _, entry := range got.entries() {
			switch entry[0] {
			case 'a':
				a = append(a, entry)
			case 'b':
				b = append(b, entry)
			}
		}
		want := []string{"a0 1", "a0 2", "a0 3"}
		for i := 1; i < 2*pageSize; i++ {
			want = append(want, fmt.Sprint("a", i, " 1"))
		}
		if diff := cmp.Diff(want, a); diff != "" {
			t.Errorf("the subject with a failure: %s", diff)
		}
		if diff := cmp.Diff([]string{"b0 1", "b1 1"}, b); diff != "" {
			t.Errorf("the other subject: %s", diff)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		broker := inprocess.NewBroker(inprocess.Config{})
		q := reads("inventory", "created")
		stock := database(t, k)
		declare(t, broker, database(t, k), "order")
		declare(t, broker, stock, "inventory", q)
		failedAt := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)
		var revived journal
		consume(t, broker, q, 1, func(d transport.Delivery) transport.Outcome {
			if d.Attempt == 1 {
				return transport.Outcome{Action: transport.Retry, Err: errors.New("at first"), FirstFailedAt: failedAt, Attempt: 1, TraceParent: "t"}
			}
			if d.LastError == "at last \uFFFD" {
				revived.add(string(d.Body))
				return transport.Outcome{}
			}
			if d.LastError != "at first" || !d.FirstFailedAt.Equal(failedAt) || d.TraceParent != "t" {
				t.Errorf("delivered %+v", d)
			}
			return transport.Outcome{
				Action: transport.DeadLetter, Reason: transport.ReasonFailed, Err: errors.New("at last \x00\xff"), FirstFailedAt: d.FirstFailedAt, Attempt: 2,
			}
		})
		publish(t, broker, message("1", "a"))
		var dead []inprocess.DeadLetter
		eventually(t, "a dead letter", func() (ok bool) {
			var err error
			if dead, err = broker.DeadLetters(t.Context(), "inventory", "created"); err != nil {
				t.Fatal(err)
			}
			return len(dead) > 0
		})
		want := []inprocess.DeadLetter{{
			EventID: "1", Type: "order.created.v1", Subject: "a", Body: []byte("body of 1"), Reason: transport.ReasonFailed,
			Error: "at last \uFFFD", Attempts: 2, FirstFailedAt: failedAt,
		}}
		if diff := cmp.Diff(want, dead, cmpopts.IgnoreFields(inprocess.DeadLetter{}, "ID", "DeadLetteredAt"), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
		// An operator revives it with a statement. The broker finds it without a notification.
		if err := stock.Exec("update stored_inbox set dead_lettered_at = null, dead_letter_reason = ''").Error; err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is delivered again", func() bool { return len(revived.entries()) == 1 })
	})
}

func TestConsume_CallsReadyAfterRequeue(t *testing.T) {
	t.Parallel()
	broker := inprocess.NewBroker(inprocess.Config{})
	q := reads("inventory", "created")
	declare(t, broker, database(t, sqliteFiles), "order")
	declare(t, broker, database(t, sqliteFiles), "inventory", q)
	publish(t, broker, message("1", "a"))
	var got journal
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- connect(broker).Consume(ctx, []transport.Consumer{{
			Queue: q, Workers: 1,
			Ready: func(context.Context) error { got.add("ready"); return nil },
			Handle: func(d transport.Delivery) transport.Outcome {
				got.add(fmt.Sprint("attempt ", d.Attempt))
				if len(got.entries()) < 5 {
					return transport.Outcome{Action: transport.Requeue, Err: errors.New("unavailable")}
				}
				return transport.Outcome{}
			},
		}})
	}()
	eventually(t, "it is done", func() bool { return waiting(t, broker, "inventory", "created") == 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	want := []string{"ready", "attempt 1", "ready", "attempt 1", "ready", "attempt 1"}
	if diff := cmp.Diff(want, got.entries()); diff != "" {
		t.Error(diff)
	}
}

func TestCheck_NamesMissingEntities(t *testing.T) {
	t.Parallel()
	broker := inprocess.NewBroker(inprocess.Config{})
	tr := connect(broker)
	topology := transport.Topology{Service: "inventory", Queues: []transport.Queue{reads("inventory", "created"), reads("inventory", "filed")}}
	if err := tr.Check(t.Context(), topology); !errors.Is(err, transport.ErrTopology) || !strings.Contains(err.Error(), "inventory") {
		t.Errorf("before it is declared: %v", err)
	}
	db := database(t, sqliteFiles)
	declare(t, broker, db, "inventory", topology.Queues[0])
	if err := tr.Check(t.Context(), topology); !errors.Is(err, transport.ErrTopology) || !strings.Contains(err.Error(), "inventory.filed") ||
		strings.Contains(err.Error(), "inventory.created") {
		t.Errorf("without a queue: %v", err)
	}
	declare(t, broker, db, "inventory", topology.Queues...)
	if err := tr.Check(t.Context(), topology); err != nil {
		t.Error(err)
	}
}

func TestApply_RejectsUnknownDatabase(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(tests.DummyDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*gorm.DB{db, nil} {
		err := inprocess.NewBroker(inprocess.Config{}).Transport(db).Declare(t.Context(), transport.Topology{Service: "order"})
		if err == nil || !strings.Contains(err.Error(), "topology of order") {
			t.Errorf("got %v", err)
		}
	}
}

func TestApply_RejectsTwoServices(t *testing.T) {
	t.Parallel()
	tr := inprocess.NewBroker(inprocess.Config{}).Transport(database(t, sqliteFiles))
	if err := tr.Declare(t.Context(), transport.Topology{Service: "order"}, transport.Topology{Service: "inventory"}); err == nil {
		t.Error("accepted")
	}
}

func TestTransport_PublishFailsAfterClose(t *testing.T) {
	t.Parallel()
	broker := inprocess.NewBroker(inprocess.Config{})
	declare(t, broker, database(t, sqliteFiles), "order")
	closed, other := connect(broker), connect(broker)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Publish(t.Context(), []transport.Message{message("1", "a")})[0]; err == nil {
		t.Error("published")
	}
	if err := other.Publish(t.Context(), []transport.Message{message("1", "a")})[0]; err != nil {
		t.Errorf("after Close of another transport: %v", err)
	}
}

func TestConsume_RejectsInvalidConsumer(t *testing.T) {
	t.Parallel()
	if err := connect(inprocess.NewBroker(inprocess.Config{})).Consume(t.Context(), []transport.Consumer{{Queue: reads("inventory", "created")}}); err == nil {
		t.Error("accepted")
	}
}
