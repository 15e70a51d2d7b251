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

func TestRelay_SendsThoughTheDatabaseIsSlowerThanTheLease(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, "alter table outbox rename to outbox_table")
	exec(t, db, "create view outbox as select * from outbox_table where (select pg_sleep(0.9)) is not null")
	start(t, db, tr, config()) // a lease of 2s, and several statements to a batch
	publish(t, db, orderCreated{OrderID: "o"})
	tr.WaitFor(t, "order.created.v1", "o")
}

func TestRelay_DoesNotRepeatAFailedWriteBackInATightLoop(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, `create function no() returns trigger language plpgsql as 'begin raise exception ''no''; end'`)
	exec(t, db, "create trigger no before delete on outbox for each row execute function no()")
	start(t, db, tr, config())
	publish(t, db, orderCreated{OrderID: "o"})
	eventually(t, "it is sent again", func() bool { return len(tr.Published()) >= 3 })
	began := time.Now()
	eventually(t, "and again", func() bool { return len(tr.Published()) >= 6 })
	// The delays double from a tenth of a second, less their jitter: the fourth to sixth take most of a second.
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("three more within %v", took)
	}
	exec(t, db, "drop trigger no on outbox")
	outboxEmpty(t, db)
}

func TestRelay_AuditsARestoredOutboxOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "insert into event_log values (1, 'e', 't', 's', 'b', "+in(0)+", "+in(0)+")")
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

func TestRelay_IsFencedOffByAnotherHolderOfTheSameGeneration(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		outboxEmpty(t, db)
		// As after a fail-over that lost our lease: somebody else has made the same generation.
		exec(t, db, "update outbox_lease set holder = 'another', expires_at = "+in(time.Hour))
		var released atomic.Bool
		eventually(t, "we notice", func() bool {
			publish(t, db, orderCreated{OrderID: "p"})
			if scan[int](t, db, "select count(*) from outbox") > 3 {
				released.Store(true)
			}
			return released.Load()
		})
		if holder := scan[string](t, db, "select holder from outbox_lease"); holder != "another" {
			t.Errorf("the lease is %s's", holder)
		}
	})
}

// An error text from outside may hold what Postgres does not take.
func TestRelay_HoldsARowWhateverTheReasonLooksLike(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.FailNext(errors.Join(transport.ErrRejected, errors.New("nul \x00 and \xff")))
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		outboxEmpty(t, db)
	})
}

// Rows without a queue come due again and again; they may not crowd out those that can be sent.
func TestRelay_SendsNewEventsBesideManyUnroutableOnes(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(m transport.Message) error {
			if strings.HasPrefix(m.Subject, "nobody-") {
				return transport.ErrUnroutable
			}
			return nil
		})
		cfg := config()
		cfg.BatchSize = 2
		start(t, db, tr, cfg)
		for i := range 40 {
			publish(t, db, orderCreated{OrderID: "nobody-" + string(rune('a'+i%26)) + string(rune('a'+i/26))})
		}
		eventually(t, "all are held", func() bool {
			return scan[int](t, db, "select count(*) from outbox where blocked_until is not null") == 40
		})
		// All due at once, as after a pause.
		exec(t, db, "update outbox set blocked_until = "+in(-time.Minute))
		publish(t, db, orderCreated{OrderID: "somebody"})
		tr.WaitFor(t, "order.created.v1", "somebody")
		exec(t, db, "delete from outbox")
	})
}

func TestReady_CountsAScheduledEventFromWhenItIsDue(t *testing.T) {
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
		exec(t, db, "update outbox set created_at = "+in(-time.Hour)+", available_at = "+in(0))
		stop := eventstest.Start(t, bus)
		receive(t, sending, "the event is sent")
		if err := bus.Ready(context.Background()); err != nil {
			t.Error(err)
		}
		close(release)
		outboxEmpty(t, db)
		stop()
	})
}

func TestReady_LeavesWhatWaitsForAPersonToTheAlert(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(transport.Message) error { return transport.ErrRejected })
		cfg := config()
		cfg.MaxPublishAttempts = 1
		bus := newBus(t, db, tr, cfg)
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "o", Number: 1}, orderCreated{OrderID: "o", Number: 2})
		eventually(t, "parked", func() bool { return scan[int](t, db, "select count(*) from outbox where parked_at is not null") == 1 })
		exec(t, db, "update outbox set created_at = "+in(-time.Hour))
		eventually(t, "ready", func() bool { return bus.Ready(context.Background()) == nil })
		exec(t, db, "delete from outbox")
	})
}

func TestReady_ForgetsTheBrokersErrorWithTheLease(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.Outcome(func(transport.Message) error { return errLost })
		bus := newBus(t, db, tr, config())
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "o"})
		eventually(t, "not ready", func() bool { return bus.Ready(context.Background()) != nil })
		exec(t, db, "update outbox_lease set holder = 'another', generation = generation + 1, expires_at = "+in(time.Hour))
		exec(t, db, "delete from outbox")
		eventually(t, "ready", func() bool { return bus.Ready(context.Background()) == nil })
	})
}

type orderCreatedV2 struct{ orderCreated }

func (orderCreatedV2) EventType() string { return "order.created.v2" }

func TestNew_RefusesTwoVersionsOfOneEvent(t *testing.T) {
	t.Parallel()
	_, err := events.NewTopology(config(),
		events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }),
		events.Handle("created-two", func(context.Context, *gorm.DB, events.Received[orderCreatedV2]) error { return nil }))
	if err == nil || !strings.Contains(err.Error(), "order.created.v2") {
		t.Errorf("error is %v", err)
	}
}

func TestReaction_SurvivesAHookThatPanics(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	cfg := config()
	cfg.OnDeadLetter = func(context.Context, events.DeadLetter) { panic("hook") }
	start(t, db, tr, cfg, events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		return events.Permanent(errors.New("no"))
	}))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.DeadLetter {
		t.Errorf("verdict %+v", v)
	}
}

// Tables that are not there yet are an operator's to mend; no event is to blame.
func TestReaction_PausesUntilItsTablesAreThere(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "alter table inbox rename to not_yet")
		cfg := config()
		cfg.RetryDelays = []time.Duration{time.Millisecond}
		start(t, db, tr, cfg, events.Handle("created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }))
		verdict := make(chan transport.Outcome, 1)
		go func() { verdict <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
		select {
		case v := <-verdict:
			t.Fatalf("verdict %+v", v)
		case <-time.After(300 * time.Millisecond): // several attempts
		}
		exec(t, db, "alter table not_yet rename to inbox")
		if v := receive(t, verdict, "the verdict"); v.Action != transport.Ack {
			t.Errorf("verdict %+v", v)
		}
	})
}

// absent is a transport whose broker is away for some time.
type absent struct {
	*eventstest.Transport
	asked atomic.Int32
	back  atomic.Bool
}

func (a *absent) Check(context.Context, transport.Topology) error {
	a.asked.Add(1)
	if a.back.Load() {
		return nil
	}
	return errLost
}

// An outage is told when it begins, and when the next one does; not at each try.
func TestOutage_IsLoggedOnce(t *testing.T) {
	t.Parallel()
	db, tr := database(t), &absent{Transport: eventstest.NewTransport()}
	var tries atomic.Int32
	tr.Outcome(func(transport.Message) error {
		tries.Add(1)
		if tr.back.Load() {
			return nil
		}
		return errLost
	})
	var log lines
	cfg := config()
	cfg.Jitter = func() float64 { return 0 }
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	stop := start(t, db, tr, cfg, events.Handle("order-created", func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return nil }))
	outage := func() {
		tr.back.Store(false)
		before := tries.Load()
		publish(t, db, orderCreated{OrderID: "o"})
		eventually(t, "several tries", func() bool { return tries.Load() >= before+3 })
		tr.back.Store(true)
		outboxEmpty(t, db)
	}
	eventually(t, "several looks at the topology", func() bool { return tr.asked.Load() >= 3 })
	outage()
	outage()
	stop()
	for message, want := range map[string]int{"not consuming yet": 1, "broker not reached": 2} {
		if got := strings.Count(log.String(), message); got != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", message, got, want, log.String())
		}
	}
}

// lines is a log to be read later.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
