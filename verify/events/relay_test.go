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

func countRows(t testing.TB, db *gorm.DB, subject string) int {
	t.Helper()
	return scan[int](t, db, "select count(*) from outbox where subject = ?", subject)
}

func TestRelay_KeepsRowUntilConfirmed(t *testing.T) {
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
		if n := countRows(t, db, "o"); n != 1 {
			t.Errorf("%d rows while the confirm is missing", n)
		}
		close(confirm)
		outboxEmpty(t, db)
		if n := scan[int](t, db, "select count(*) from event_log"); n != 0 {
			t.Errorf("%d rows in the event log although Audit is off", n)
		}
	})
}

func TestRelay_SendsAgainAfterLostConfirm(t *testing.T) {
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

func TestRelay_OutageCountsNoRejection(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var attempts atomic.Int32
		var up atomic.Bool
		tr.Outcome(func(transport.Message) error {
			attempts.Add(1)
			if up.Load() {
				return nil
			}
			return errLost
		})
		cfg := config()
		cfg.Relay.MaxPublishAttempts = 1
		cfg.Jitter = func() float64 { return 0 }
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o", Number: 1}, orderCreated{OrderID: "o", Number: 2})
		eventually(t, "several attempts", func() bool { return attempts.Load() >= 3 })

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

func TestRelay_UnroutableBlocksOnlyItsSubject(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var bound atomic.Bool
		tr.Outcome(func(m transport.Message) error {
			if m.Type == "order.created.v1" && m.Subject == "blocked" && !bound.Load() {
				if !m.Mandatory {
					t.Error("a mandatory event was not sent as mandatory")
				}
				return transport.ErrUnroutable
			}
			return nil
		})
		start(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "blocked", Number: 1}, orderSeen{OrderID: "blocked"}, orderCreated{OrderID: "free"})

		tr.WaitFor(t, "order.created.v1", "free")
		eventually(t, "the row is blocked", func() bool {
			return scan[int](t, db, "select count(*) from outbox where blocked_until is not null and rejections = 0") == 1
		})
		publish(t, db, orderCreated{OrderID: "blocked", Number: 2}, orderCreated{OrderID: "free too"})
		tr.WaitFor(t, "order.created.v1", "free too")
		if n := countRows(t, db, "blocked"); n != 3 {
			t.Errorf("%d rows wait, want the unroutable one and those behind it", n)
		}

		bound.Store(true)
		outboxEmpty(t, db)
		var types []string
		for _, e := range tr.Published() {
			if e.Subject == "blocked" {
				types = append(types, e.Type)
			}
		}
		if diff := cmp.Diff([]string{"order.created.v1", "order.seen.v1", "order.created.v1"}, types); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_ParkedEventBlocksOnlyItsSubject(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		var attempts atomic.Int32
		var accept atomic.Bool
		tr.Outcome(func(m transport.Message) error {
			if m.Subject == "bad" && !accept.Load() {
				attempts.Add(1)
				return fmt.Errorf("%w: too large", transport.ErrRejected)
			}
			return nil
		})
		cfg := config()
		cfg.Relay.MaxPublishAttempts = 3
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "bad", Number: 1}, orderCreated{OrderID: "bad", Number: 2}, orderCreated{OrderID: "good"})
		eventually(t, "parked", func() bool {
			return scan[int](t, db, "select count(*) from outbox where parked_at is not null") == 1
		})
		publish(t, db, orderCreated{OrderID: "good too"})
		tr.WaitFor(t, "order.created.v1", "good")
		tr.WaitFor(t, "order.created.v1", "good too")

		if got := attempts.Load(); got != 3 {
			t.Errorf("sent %d times, want MaxPublishAttempts", got)
		}
		if got := scan[string](t, db, "select last_error from outbox where parked_at is not null"); got != "events: rejected by the broker: too large" {
			t.Errorf("last_error %q", got)
		}
		if n := countRows(t, db, "bad"); n != 2 {
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

// overlapping delays the first batch until a second is in flight, and records subjects that are in both.
type overlapping struct {
	*eventstest.Transport
	mu       sync.Mutex
	inFlight map[string]bool
	batches  int
	second   chan struct{}
	bad      []string
}

func (o *overlapping) Publish(ctx context.Context, msgs []transport.Message) []error {
	o.mu.Lock()
	for _, m := range msgs {
		if o.inFlight[m.Subject] {
			o.bad = append(o.bad, m.Subject)
		}
		o.inFlight[m.Subject] = true
	}
	o.batches++
	if o.batches == 2 {
		close(o.second)
	}
	o.mu.Unlock()
	select {
	case <-o.second:
	case <-time.After(timeout):
	}
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, m := range msgs {
			delete(o.inFlight, m.Subject)
		}
	}()
	return o.Transport.Publish(ctx, msgs)
}

func TestRelay_OneEventPerSubjectInFlight(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db := open(t, url)
		tr := &overlapping{Transport: eventstest.NewTransport(), inFlight: map[string]bool{}, second: make(chan struct{})}
		cfg := config()
		cfg.Relay.BatchSize = 7
		bus := newBus(t, db, tr, cfg)
		const subjects, each = 5, 40
		for n := range each * subjects {
			// Three in a row, so that a batch and the next one contain events of the same subject.
			publish(t, db, orderCreated{OrderID: fmt.Sprint("o", n/3%subjects), Number: n})
		}
		eventstest.Start(t, bus)
		outboxEmpty(t, db)

		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.bad) > 0 {
			t.Errorf("two events in flight at once: %v", tr.bad)
		}
		select {
		case <-tr.second:
		default:
			t.Error("never two batches at once: the test proved nothing")
		}
		for s := range subjects {
			if got := numbers(t, tr.Transport, fmt.Sprint("o", s)); !slices.IsSorted(got) {
				t.Errorf("o%d was published as %v", s, got)
			}
		}
		if got := len(tr.Published()); got != subjects*each {
			t.Errorf("%d events published, want %d", got, subjects*each)
		}
	})
}

func TestRelay_KeepsOrderAfterFailure(t *testing.T) {
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

func TestRelay_FencedAfterTakeover(t *testing.T) {
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
		cfg.Relay.LeaseTTL = 500 * time.Millisecond
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o"})
		receive(t, sent, "the event is sent")

		exec(t, db, "update outbox_lease set holder = 'another', generation = generation + 1, expires_at = "+fromNow(time.Hour))
		close(confirm)
		tr.WaitFor(t, "order.created.v1", "o")
		// The first relay has lost its lease: it neither completes rows nor sends.
		publish(t, db, orderCreated{OrderID: "later"})
		if n := countRows(t, db, "o") + countRows(t, db, "later"); n != 2 {
			t.Errorf("%d of 2 rows left: a fenced relay completed rows", n)
		}

		exec(t, db, "update outbox_lease set expires_at = "+fromNow(-time.Hour))
		outboxEmpty(t, db)
		if diff := cmp.Diff([]int{0, 0}, numbers(t, tr, "o")); diff != "" {
			t.Errorf("the row must be sent again by the next generation: %s", diff)
		}
	})
}

func TestRelay_EarlierBatchDoesNotFence(t *testing.T) {
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
		cfg.Relay.LeaseTTL = 1500 * time.Millisecond
		start(t, db, tr, cfg)
		publish(t, db, orderCreated{OrderID: "o"})
		receive(t, sent, "the event is sent")
		// Another instance acquires the lease and ends, and this one acquires it again, while the batch is in flight.
		exec(t, db, "update outbox_lease set holder = 'another', generation = 2, expires_at = "+fromNow(-time.Hour))
		eventually(t, "lease acquired again", func() bool { return scan[int](t, db, `select generation from outbox_lease`) == 3 })
		close(confirm)
		outboxEmpty(t, db)
		if got := scan[int](t, db, `select generation from outbox_lease`); got != 3 {
			t.Errorf("the lease was released because of an old batch: generation %d", got)
		}
	})
}

func TestRelay_ReleasesLeaseOnShutdown(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		tr := eventstest.NewTransport()
		db := open(t, url)
		cfg := config()
		cfg.Relay.LeaseTTL = time.Hour
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

func TestRelay_ReplacedAfterLeaseExpires(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		exec(t, db, "insert into outbox_lease values ('default', 'crashed', 7, "+fromNow(time.Second)+")")
		exec(t, db, `create table promised as select expires_at from outbox_lease`)
		expired := make(chan bool, 1)
		tr.Outcome(func(transport.Message) error {
			expired <- scan[bool](t, db, "select "+fromNow(0)+" >= p.expires_at and generation = 8 from promised p, outbox_lease")
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

func TestRelay_RenewsLeaseWhileIdle(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.Relay.PollInterval, cfg.Relay.LeaseTTL = time.Hour, 2*time.Second
		start(t, db, tr, cfg)
		var first time.Time
		expired := false
		eventually(t, "the lease is renewed", func() bool {
			var expires time.Time
			if err := db.Raw("select expires_at from outbox_lease").Row().Scan(&expires); err != nil {
				return false // not acquired yet
			}
			if first.IsZero() {
				first = time.Now()
			}
			expired = expired || time.Now().After(expires)
			return time.Since(first) > 3*cfg.Relay.LeaseTTL/2
		})
		if expired {
			t.Error("the lease expired")
		}
	})
}

func TestRelay_ScheduledEventBlocksNothing(t *testing.T) {
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
				t.Errorf("a scheduled event was sent %v early", early)
			}
		}
		eventually(t, "all but one done", func() bool { return scan[int](t, db, "select count(*) from outbox") == 1 })
		if diff := cmp.Diff([]int{2}, numbers(t, tr, "o")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelay_MovesPublishedRowsToEventLog(t *testing.T) {
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

func TestRelay_FindsRowsCommittedOutOfOrder(t *testing.T) {
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

func TestRelay_SendsRemainingRowsOnShutdown(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		cfg := config()
		cfg.Relay.BatchSize = 3
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

func TestRelay_SurvivesMissingLeaseTable(t *testing.T) {
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

// repeat copies the only row of the outbox n times, with the given expressions for subject and available_at; i is the number
// of the copy.
func repeat(t *testing.T, db *gorm.DB, n int, subject, availableAt string) {
	t.Helper()
	exec(t, db, fmt.Sprintf(`
		insert into outbox (event_id, type, subject, mandatory, body, created_at, available_at)
		with recursive copies (i) as (select 1 union all select i + 1 from copies where i < %d)
		select o.event_id, o.type, %s, o.mandatory, o.body, o.created_at, %s from outbox o, copies`, n, subject, availableAt))
}

func TestRelay_HotSubjectDelaysNoOther(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		bus := newBus(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "hot"})
		repeat(t, db, 5000, "o.subject", "null")
		for n := range 3 { // more than a row, and more than one subject
			publish(t, db, orderCreated{OrderID: "a", Number: n}, orderCreated{OrderID: "b", Number: n})
		}
		release := make(chan struct{})
		tr.Outcome(func(m transport.Message) error {
			if m.Subject == "hot" {
				<-release
			}
			return nil
		})
		eventstest.Start(t, bus)
		eventually(t, "the other subjects are sent while the hot one waits", func() bool {
			return countRows(t, db, "a") == 0 && countRows(t, db, "b") == 0
		})
		exec(t, db, "delete from outbox where id > (select min(id) + 600 from outbox)")
		close(release)
		outboxEmpty(t, db)
	})
}

func TestRelay_ManyRowsBehindParkedOne(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		bus := newBus(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "parked"})
		repeat(t, db, 5000, "o.subject", "null")
		exec(t, db, "update outbox set parked_at = created_at, blocked_until = "+fromNow(time.Hour)+
			" where id = (select min(id) from outbox)")
		eventstest.Start(t, bus)
		publish(t, db, orderCreated{OrderID: "free"})
		eventually(t, "the row behind all others is sent", func() bool { return countRows(t, db, "free") == 0 })
		if n := countRows(t, db, "parked"); n != 5001 {
			t.Errorf("%d rows are left", n)
		}
		exec(t, db, "delete from outbox")
	})
}

func TestRelay_ScheduledBacklogDelaysNoOther(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		bus := newBus(t, db, tr, config())
		publish(t, db, orderCreated{OrderID: "scheduled"})
		repeat(t, db, 5000, "'s' || i", "o.created_at") // all at once, since a moment ago
		exec(t, db, "delete from outbox where available_at is null")
		publish(t, db, orderCreated{OrderID: "immediate"})
		eventstest.Start(t, bus)
		outboxEmpty(t, db)
		if i := slices.IndexFunc(tr.Published(), func(e transport.Envelope) bool { return e.Subject == "immediate" }); i > 500 {
			t.Errorf("%d scheduled events were sent before it", i)
		}
	})
}
