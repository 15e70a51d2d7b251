package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var errLost = errors.New("connection lost")

func rowsOf(t testing.TB, db *gorm.DB, subject string) int {
	t.Helper()
	return scan[int](t, db, "select count(*) from outbox where subject = ?", subject)
}

func TestRelay_KeepsARowUntilItIsConfirmed(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		sent, confirm := make(chan struct{}), make(chan struct{})
		tr.Outcome(func(transport.Message) error {
			close(sent)
			<-confirm
			return nil
		})
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})

		receive(t, sent, "the event is sent")
		if n := rowsOf(t, db, "o"); n != 1 {
			t.Errorf("%d rows while the confirm is missing", n)
		}
		close(confirm)
		outboxEmpty(t, db)
		if n := scan[int](t, db, "select count(*) from event_log"); n != 0 {
			t.Errorf("%d rows in the event log although Audit is off", n)
		}
	})
}

func TestRelay_SendsAgainWhenTheConfirmIsLost(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		tr.FailNext(errLost, context.DeadlineExceeded)
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		tr.WaitFor(t, "order.created.v1", "o")
		outboxEmpty(t, db)
	})
}

func TestRelay_KeepsAnOutageFromSpendingAnything(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var tries atomic.Int32
		var up atomic.Bool
		tr.Outcome(func(transport.Message) error {
			tries.Add(1)
			if up.Load() {
				return nil
			}
			return errLost
		})
		cfg := config()
		cfg.MaxPublishAttempts = 1
		cfg.Jitter = func() float64 { return 0 }
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o", Number: 1}, orderCreated{OrderID: "o", Number: 2})
		eventually(t, "several tries", func() bool { return tries.Load() >= 3 })

		if n := scan[int](t, db, "select count(*) from outbox where rejections = 0 and blocked_until is null"); n != 2 {
			t.Errorf("%d of 2 rows untouched by the outage", n)
		}
		up.Store(true)
		outboxEmpty(t, db)
		if diff := cmp.Diff([]int{1, 2}, numbers(t, tr, "o")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_HoldsAnUnroutableEventWithItsKeyOnly(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var bound atomic.Bool
		tr.Outcome(func(m transport.Message) error {
			if m.Type == "order.created.v1" && m.Subject == "held" && !bound.Load() {
				if !m.Mandatory {
					t.Error("a required event was not sent as mandatory")
				}
				return transport.ErrUnroutable
			}
			return nil
		})
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "held", Number: 1}, orderSeen{OrderID: "held"}, orderCreated{OrderID: "free"})

		tr.WaitFor(t, "order.created.v1", "free")
		eventually(t, "the row is held", func() bool {
			return scan[int](t, db, "select count(*) from outbox where blocked_until is not null and rejections = 0") == 1
		})
		publish(t, db, orderCreated{OrderID: "held", Number: 2}, orderCreated{OrderID: "free too"})
		tr.WaitFor(t, "order.created.v1", "free too")
		if n := rowsOf(t, db, "held"); n != 3 {
			t.Errorf("%d rows wait, want the unroutable one and those behind it", n)
		}

		bound.Store(true)
		outboxEmpty(t, db)
		var types []string
		for _, e := range tr.Published() {
			if e.Subject == "held" {
				types = append(types, e.Type)
			}
		}
		if diff := cmp.Diff([]string{"order.created.v1", "order.seen.v1", "order.created.v1"}, types); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_ParksARefusedEventWithItsKeyOnly(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var tries atomic.Int32
		var accept atomic.Bool
		tr.Outcome(func(m transport.Message) error {
			if m.Subject == "bad" && !accept.Load() {
				tries.Add(1)
				return fmt.Errorf("%w: too large", transport.ErrRejected)
			}
			return nil
		})
		cfg := config()
		cfg.MaxPublishAttempts = 3
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "bad", Number: 1}, orderCreated{OrderID: "bad", Number: 2}, orderCreated{OrderID: "good"})
		eventually(t, "parked", func() bool {
			return scan[int](t, db, "select count(*) from outbox where parked_at is not null") == 1
		})
		publish(t, db, orderCreated{OrderID: "good too"})
		tr.WaitFor(t, "order.created.v1", "good")
		tr.WaitFor(t, "order.created.v1", "good too")

		if got := tries.Load(); got != 3 {
			t.Errorf("sent %d times, want RefusalLimit", got)
		}
		if got := scan[string](t, db, "select last_error from outbox where parked_at is not null"); got != "events: rejected by the broker: too large" {
			t.Errorf("last_error %q", got)
		}
		if n := rowsOf(t, db, "bad"); n != 2 {
			t.Errorf("%d rows wait, want the parked one and the one behind it", n)
		}

		accept.Store(true)
		exec(t, db, "update outbox set parked_at = null, blocked_until = null, rejections = 0 where parked_at is not null")
		outboxEmpty(t, db)
		if diff := cmp.Diff([]int{1, 2}, numbers(t, tr, "bad")); diff != "" {
			t.Error(diff)
		}
	})
}

// crossing holds the first batch back until a second is under way, and watches who flies with whom.
type crossing struct {
	*eventstest.Transport
	mu      sync.Mutex
	flying  map[string]bool
	batches int
	second  chan struct{}
	bad     []string
}

func (c *crossing) Publish(ctx context.Context, msgs []transport.Message) []error {
	c.mu.Lock()
	for _, m := range msgs {
		if c.flying[m.Subject] {
			c.bad = append(c.bad, m.Subject)
		}
		c.flying[m.Subject] = true
	}
	c.batches++
	if c.batches == 2 {
		close(c.second)
	}
	c.mu.Unlock()
	select {
	case <-c.second:
	case <-time.After(patience):
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, m := range msgs {
			delete(c.flying, m.Subject)
		}
	}()
	return c.Transport.Publish(ctx, msgs)
}

func TestRelay_NeverHasTwoEventsOfOneSubjectInTheAir(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		tr := &crossing{Transport: eventstest.NewTransport(), flying: map[string]bool{}, second: make(chan struct{})}
		cfg := config()
		cfg.BatchSize = 7
		bus := newBus(t, db, tr, cfg)
		const subjects, each = 5, 40
		for n := range each * subjects {
			// By threes, so that a batch holds several events of one subject and the next batch goes on with it.
			publish(t, db, orderCreated{OrderID: fmt.Sprint("o", n/3%subjects), Number: n})
		}
		eventstest.Start(t, bus)
		outboxEmpty(t, db)

		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.bad) > 0 {
			t.Errorf("in the air twice: %v", tr.bad)
		}
		select {
		case <-tr.second:
		default:
			t.Error("never two batches at once: the test proved nothing")
		}
		for s := range subjects {
			if got := numbers(t, tr.Transport, fmt.Sprint("o", s)); !slices.IsSorted(got) {
				t.Errorf("o%d left as %v", s, got)
			}
		}
		if got := len(tr.Published()); got != subjects*each {
			t.Errorf("%d events published, want %d", got, subjects*each)
		}
	})
}

func TestRelay_StopsASubjectAtItsFirstFailure(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		bus := newBus(t, db, tr, config())
		var once sync.Once
		tr.Outcome(func(m transport.Message) error {
			var err error
			if m.Subject == "o" {
				once.Do(func() { err = errLost })
			}
			return err
		})
		for n := range 5 {
			publish(t, db, orderCreated{OrderID: "o", Number: n})
		}
		eventstest.Start(t, bus)
		outboxEmpty(t, db)
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, numbers(t, tr, "o")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_IsFencedOffOnceAnotherHasTakenOver(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		sent, confirm := make(chan struct{}, 100), make(chan struct{})
		tr.Outcome(func(transport.Message) error {
			sent <- struct{}{}
			<-confirm
			return nil
		})
		cfg := config()
		cfg.LeaseTTL = 500 * time.Millisecond
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o"})
		receive(t, sent, "the event is sent")

		exec(t, db, "update outbox_lease set holder = 'another', generation = generation + 1, expires_at = "+in(time.Hour))
		close(confirm)
		tr.WaitFor(t, "order.created.v1", "o")
		// The first relay is out: it neither writes back nor sends.
		publish(t, db, orderCreated{OrderID: "later"})
		if n := rowsOf(t, db, "o") + rowsOf(t, db, "later"); n != 2 {
			t.Errorf("%d of 2 rows left: a fenced relay wrote back", n)
		}

		exec(t, db, "update outbox_lease set expires_at = "+in(-time.Hour))
		outboxEmpty(t, db)
		if diff := cmp.Diff([]int{0, 0}, numbers(t, tr, "o")); diff != "" {
			t.Errorf("the row must be sent again by the next generation: %s", diff)
		}
	})
}

func TestRelay_IsNotFencedOffByABatchOfAnEarlierGeneration(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		sent, confirm := make(chan struct{}, 100), make(chan struct{})
		tr.Outcome(func(m transport.Message) error {
			sent <- struct{}{}
			<-confirm
			return nil
		})
		cfg := config()
		cfg.LeaseTTL = 1500 * time.Millisecond
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o"})
		receive(t, sent, "the event is sent")
		// Another instance comes and goes, and this one takes the lease back, while the batch is in the air.
		exec(t, db, "update outbox_lease set holder = 'another', generation = 2, expires_at = "+in(-time.Hour))
		eventually(t, "lease taken back", func() bool { return scan[int](t, db, `select generation from outbox_lease`) == 3 })
		close(confirm)
		outboxEmpty(t, db)
		if got := scan[int](t, db, `select generation from outbox_lease`); got != 3 {
			t.Errorf("the lease was given up over an old batch: generation %d", got)
		}
	})
}

func TestRelay_GivesTheLeaseBackWhenItStops(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		tr := eventstest.NewTransport()
		db := open(t, url)
		cfg := config()
		cfg.LeaseTTL = time.Hour
		stop := start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "first"})
		tr.WaitFor(t, "order.created.v1", "first")
		stop()

		second, tr2 := open(t, url), eventstest.NewTransport()
		start(t, second, tr2, cfg)
		publish(t, second, orderCreated{OrderID: "second"})
		tr2.WaitFor(t, "order.created.v1", "second")
	})
}

func TestRelay_IsReplacedOnceItsLeaseExpires(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "insert into outbox_lease values ('default', 'crashed', 7, "+in(time.Second)+")")
		exec(t, db, `create table promised as select expires_at from outbox_lease`)
		expired := make(chan bool, 1)
		tr.Outcome(func(transport.Message) error {
			expired <- scan[bool](t, db, "select "+in(0)+" >= p.expires_at and generation = 8 from promised p, outbox_lease")
			return nil
		})
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		if !receive(t, expired, "the event is sent") {
			t.Error("sent before the lease of the crashed instance had expired")
		}
		outboxEmpty(t, db)
	})
}

func TestRelay_KeepsItsLeaseWhileIdle(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.PollInterval, cfg.LeaseTTL = time.Hour, 2*time.Second
		start(t, db, tr, cfg)
		var first time.Time
		lapsed := false
		eventually(t, "lease held for longer than it lasts", func() bool {
			var expires time.Time
			if err := db.Raw("select expires_at from outbox_lease").Row().Scan(&expires); err != nil {
				return false // not taken yet
			}
			if first.IsZero() {
				first = time.Now()
			}
			lapsed = lapsed || time.Now().After(expires)
			return time.Since(first) > 3*cfg.LeaseTTL/2
		})
		if lapsed {
			t.Error("the lease lapsed")
		}
	})
}

func TestRelay_SchedulesWithoutHoldingBackOthers(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		const delay = 300 * time.Millisecond
		left := make(chan time.Time, 10)
		tr.Outcome(func(m transport.Message) error {
			if m.Subject == "soon" {
				left <- time.Now()
			}
			return nil
		})
		start(t, db, tr, config())
		before := time.Now()
		if err := db.Transaction(func(tx *gorm.DB) error {
			return errors.Join(
				events.Publish(t.Context(), tx, orderCreated{OrderID: "soon", Number: 1}, events.WithDelay(delay)),
				events.Publish(t.Context(), tx, orderCreated{OrderID: "soon", Number: 2}, events.WithDeliverAt(before.Add(delay))),
				events.Publish(t.Context(), tx, orderCreated{OrderID: "o", Number: 1}, events.WithDelay(time.Hour)),
				events.Publish(t.Context(), tx, orderCreated{OrderID: "o", Number: 2}))
		}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if early := delay - receive(t, left, "the scheduled events").Sub(before); early > 0 {
				t.Errorf("a scheduled event left %v early", early)
			}
		}
		eventually(t, "all but one done", func() bool { return scan[int](t, db, "select count(*) from outbox") == 1 })
		if diff := cmp.Diff([]int{2}, numbers(t, tr, "o")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_MovesPublishedRowsToTheEventLog(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.Audit = true
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "a"}, orderSeen{OrderID: "b"})
		outboxEmpty(t, db)

		var log []string
		if err := db.Raw(`select type || ' ' || subject from event_log
		where body like '%"id":"' || event_id || '"%' and published_at >= created_at order by id`).Scan(&log).Error; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"order.created.v1 a", "order.seen.v1 b"}, log); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_FindsRowsThatCommitOutOfOrder(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, config())
	slow := db.Begin()
	if err := events.Publish(t.Context(), slow, orderCreated{OrderID: "slow"}); err != nil {
		t.Fatal(err)
	}
	publish(t, db, orderCreated{OrderID: "quick"})
	tr.WaitFor(t, "order.created.v1", "quick")
	outboxEmpty(t, db)
	if err := slow.Commit().Error; err != nil {
		t.Fatal(err)
	}
	tr.WaitFor(t, "order.created.v1", "slow")
}

func TestRelay_SendsWhatIsLeftWhenItStops(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.BatchSize = 3
		stop := start(t, db, tr, cfg)
		for n := range 20 {
			publish(t, db, orderCreated{OrderID: "o", Number: n})
		}
		stop()
		if got := len(tr.Published()); got != 20 {
			t.Errorf("%d of 20 events published before the bus stopped", got)
		}
	})
}

func TestRelay_SurvivesALostLeaseTable(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "alter table outbox_lease rename to elsewhere")
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "o"})
		exec(t, db, "alter table elsewhere rename to outbox_lease")
		tr.WaitFor(t, "order.created.v1", "o")
	})
}
