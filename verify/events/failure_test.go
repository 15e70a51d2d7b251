package events_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

func TestRelay_SendsWhenDatabaseIsSlowerThanLease(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, "alter table outbox rename to outbox_table")
	exec(t, db, "create view outbox as select * from outbox_table where (select pg_sleep(0.9)) is not null")
	start(t, db, tr, config()) // a lease of 2s, and several statements for each batch
	publish(t, db, orderCreated{OrderID: "o"})
	tr.WaitFor(t, "order.created.v1", "o")
}

func TestRelay_BacksOffAfterFailedCompletion(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, `create function no() returns trigger language plpgsql as 'begin raise exception ''no''; end'`)
	exec(t, db, "create trigger no before delete on outbox for each row execute function no()")
	start(t, db, tr, config())
	publish(t, db, orderCreated{OrderID: "o"})
	eventually(t, "the event is sent three times", func() bool { return len(tr.Published()) >= 3 })
	began := time.Now()
	eventually(t, "the event is sent six times", func() bool { return len(tr.Published()) >= 6 })
	// The delays double from a tenth of a second and are shortened by up to a half: the fourth to sixth take most of a
	// second.
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("sent three more times within %v", took)
	}
	exec(t, db, "drop trigger no on outbox")
	outboxEmpty(t, db)
}

func TestRelay_LogsRestoredOutboxOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "insert into event_log values (1, 'e', 't', 's', 'b', "+fromNow(0)+", "+fromNow(0)+")")
		cfg := config()
		cfg.Audit = true
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o"})
		outboxEmpty(t, db)
		if n := len(tr.Published()); n != 1 {
			t.Errorf("published %d times", n)
		}
	})
}

func TestRelay_FencedByOtherHolderOfSameGeneration(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		outboxEmpty(t, db)
		// As after a fail-over of the database that lost the lease: another instance has acquired the same generation.
		exec(t, db, "update outbox_lease set holder = 'another', expires_at = "+fromNow(time.Hour))
		var released atomic.Bool
		eventually(t, "the relay stops sending", func() bool {
			publish(t, db, orderCreated{OrderID: "p"})
			if scan[int](t, db, "select count(*) from outbox") > 3 {
				released.Store(true)
			}
			return released.Load()
		})
		if holder := scan[string](t, db, "select holder from outbox_lease"); holder != "another" {
			t.Errorf("the holder of the lease is %s", holder)
		}
	})
}

// An error text may contain bytes that Postgres does not accept in a text.
func TestRelay_StoresAnyErrorText(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.FailNext(errors.Join(transport.ErrRejected, errors.New("nul \x00 and \xff")))
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		outboxEmpty(t, db)
	})
}

// Rows without a queue become due repeatedly. They must not take the place in a batch of rows that can be sent.
func TestRelay_SendsBesideManyUnroutableEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(m transport.Message) error {
			if strings.HasPrefix(m.Subject, "unbound-") {
				return transport.ErrUnroutable
			}
			return nil
		})
		cfg := config()
		cfg.Relay.BatchSize = 2
		start(t, db, tr, cfg)
		for i := range 40 {
			publish(t, db, orderCreated{OrderID: "unbound-" + string(rune('a'+i%26)) + string(rune('a'+i/26))})
		}
		eventually(t, "all are blocked", func() bool {
			return scan[int](t, db, "select count(*) from outbox where blocked_until is not null") == 40
		})
		// All are due at once, as after a pause.
		exec(t, db, "update outbox set blocked_until = "+fromNow(-time.Minute))
		publish(t, db, orderCreated{OrderID: "bound"})
		tr.WaitFor(t, "order.created.v1", "bound")
		exec(t, db, "delete from outbox")
	})
}

func TestReady_CountsScheduledEventOnceDue(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		sending, release := make(chan struct{}), make(chan struct{})
		tr.Outcome(func(transport.Message) error {
			close(sending)
			<-release
			return nil
		})
		bus := newBus(t, db, tr, config())
		if err := db.Transaction(func(tx *gorm.DB) error {
			return events.Publish(context.Background(), tx, orderCreated{OrderID: "o"}, events.WithDelay(time.Hour))
		}); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "update outbox set created_at = "+fromNow(-time.Hour)+", available_at = "+fromNow(0))
		stop := eventstest.Start(t, bus)
		receive(t, sending, "the event is sent")
		eventually(t, "the bus is ready, although the event was written an hour ago", func() bool {
			return bus.Ready(context.Background()) == nil
		})
		close(release)
		outboxEmpty(t, db)
		stop()
	})
}

func TestReady_IgnoresParkedEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(transport.Message) error { return transport.ErrRejected })
		cfg := config()
		cfg.Relay.MaxPublishAttempts = 1
		bus := newBus(t, db, tr, cfg)
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "o", Number: 1}, orderCreated{OrderID: "o", Number: 2})
		eventually(t, "parked", func() bool { return scan[int](t, db, "select count(*) from outbox where parked_at is not null") == 1 })
		exec(t, db, "update outbox set created_at = "+fromNow(-time.Hour))
		eventually(t, "ready", func() bool { return bus.Ready(context.Background()) == nil })
		exec(t, db, "delete from outbox")
	})
}

func TestReady_DropsBrokerErrorWithLease(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(transport.Message) error { return errLost })
		bus := newBus(t, db, tr, config())
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "o"})
		eventually(t, "not ready", func() bool { return bus.Ready(context.Background()) != nil })
		exec(t, db, "update outbox_lease set holder = 'another', generation = generation + 1, expires_at = "+fromNow(time.Hour))
		exec(t, db, "delete from outbox")
		eventually(t, "ready", func() bool { return bus.Ready(context.Background()) == nil })
	})
}

func TestHandler_SurvivesPanicInHook(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	cfg := config()
	cfg.OnDeadLetter = func(context.Context, events.DeadLetter) { panic("hook") }
	start(t, db, tr, cfg, events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		return events.Permanent(errors.New("no"))
	}))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.DeadLetter {
		t.Errorf("outcome %+v", v)
	}
}

// A handler pauses while the tables of the library are missing: an operator has to create them.
func TestHandler_PausesUntilTablesExist(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "alter table inbox rename to not_yet")
		cfg := config()
		cfg.RetryDelays = []time.Duration{time.Millisecond}
		start(t, db, tr, cfg, events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }))
		outcome := make(chan transport.Outcome, 1)
		go func() { outcome <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
		select {
		case v := <-outcome:
			t.Fatalf("outcome %+v", v)
		case <-time.After(300 * time.Millisecond): // several attempts
		}
		exec(t, db, "alter table not_yet rename to inbox")
		if v := receive(t, outcome, "the outcome"); v.Action != transport.Ack {
			t.Errorf("outcome %+v", v)
		}
	})
}

// unreachable is a transport whose broker can be made unavailable.
type unreachable struct {
	*eventstest.Transport
	checks    atomic.Int32
	available atomic.Bool
}

func (u *unreachable) Check(context.Context, transport.Topology) error {
	u.checks.Add(1)
	if u.available.Load() {
		return nil
	}
	return errLost
}

// An outage is logged when it begins, and not with each attempt.
func TestOutage_LoggedOnce(t *testing.T) {
	t.Parallel()
	db, tr := database(t), &unreachable{Transport: eventstest.NewTransport()}
	var attempts atomic.Int32
	tr.Outcome(func(transport.Message) error {
		attempts.Add(1)
		if tr.available.Load() {
			return nil
		}
		return errLost
	})
	var log logBuffer
	cfg := config()
	cfg.Jitter = func() float64 { return 0 }
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	stop := start(t, db, tr, cfg, events.Handle("order-created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }))
	outage := func() {
		tr.available.Store(false)
		before := attempts.Load()
		publish(t, db, orderCreated{OrderID: "o"})
		eventually(t, "several attempts", func() bool { return attempts.Load() >= before+3 })
		tr.available.Store(true)
		outboxEmpty(t, db)
	}
	eventually(t, "several checks of the topology", func() bool { return tr.checks.Load() >= 3 })
	outage()
	outage()
	stop()
	for message, want := range map[string]int{"not consuming yet": 1, "broker not reached": 2} {
		if got := strings.Count(log.String(), message); got != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", message, got, want, log.String())
		}
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
