package events_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

var errNo = errors.New("no")

// handle returns a subscription of h to orderCreated.
func handle(h func(ctx context.Context, tx *gorm.DB, e events.Received[orderCreated]) error, opts ...events.SubscribeOption) events.Subscription {
	return events.Handle("order-created", h, opts...)
}

// handleWith returns a subscription whose handler returns err.
func handleWith(err error) events.Subscription {
	return handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return err })
}

// createEffects creates a table to which handlers add a row each time they run.
func createEffects(t testing.TB, db *gorm.DB) {
	t.Helper()
	exec(t, db, "create table effects (subject text)")
}

func insertEffect(tx *gorm.DB, subject string) error {
	return tx.Exec("insert into effects values (?)", subject).Error
}

func countEffects(t testing.TB, db *gorm.DB, subject string) int {
	t.Helper()
	return scan[int](t, db, "select count(*) from effects where subject = ?", subject)
}

// tapped passes on its consumers, so that a test can deliver a body that is no event.
type tapped struct {
	*eventstest.Transport
	consumers chan []transport.Consumer
}

func (tr *tapped) Consume(ctx context.Context, consumers []transport.Consumer) error {
	tr.consumers <- consumers
	return tr.Transport.Consume(ctx, consumers)
}

func TestHandler_ErrorDecidesOutcome(t *testing.T) {
	t.Parallel()
	retryDelays := []time.Duration{time.Second, 5 * time.Second}
	for name, c := range map[string]struct {
		err     error
		attempt int
		want    transport.Outcome
		opts    []events.SubscribeOption
	}{
		"nil":                  {nil, 1, transport.Outcome{Action: transport.Ack}, nil},
		"first":                {errNo, 1, transport.Outcome{Action: transport.Retry, Delay: time.Second, Attempt: 1}, nil},
		"second":               {errNo, 2, transport.Outcome{Action: transport.Retry, Delay: 5 * time.Second, Attempt: 2}, nil},
		"last":                 {errNo, 3, transport.Outcome{Action: transport.DeadLetter, Reason: transport.ReasonFailed, Attempt: 3}, nil},
		"permanent":            {fmt.Errorf("so: %w", events.Permanent(errNo)), 1, transport.Outcome{Action: transport.DeadLetter, Reason: transport.ReasonPermanent, Attempt: 1}, nil},
		"retry after":          {events.RetryAfter(time.Minute, errNo), 1, transport.Outcome{Action: transport.Retry, Delay: time.Minute, Attempt: 1}, nil},
		"after last":           {events.RetryAfter(time.Minute, errNo), 3, transport.Outcome{Action: transport.DeadLetter, Reason: transport.ReasonFailed, Attempt: 3}, nil},
		"unlimited":            {errNo, 3, transport.Outcome{Action: transport.Retry, Delay: 5 * time.Second, Attempt: 3}, []events.SubscribeOption{events.WithUnlimitedRetries()}},
		"unlimited, late":      {errNo, 1000, transport.Outcome{Action: transport.Retry, Delay: 5 * time.Second, Attempt: 1000}, []events.SubscribeOption{events.WithUnlimitedRetries()}},
		"unlimited, permanent": {events.Permanent(errNo), 3, transport.Outcome{Action: transport.DeadLetter, Reason: transport.ReasonPermanent, Attempt: 3}, []events.SubscribeOption{events.WithUnlimitedRetries()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, tr := database(t), eventstest.NewTransport()
			cfg := config()
			cfg.RetryDelays = retryDelays
			start(t, db, tr, cfg, handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error { return c.err }, c.opts...))
			got := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.OnAttempt(c.attempt))
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(transport.Outcome{}, "Err", "FirstFailedAt", "TraceParent", "Completed")); diff != "" {
				t.Error(diff)
			}
			if c.err != nil && (!errors.Is(got.Err, errNo) || got.FirstFailedAt.IsZero()) {
				t.Errorf("outcome %+v lacks the error or the time of the first failure", got)
			}
		})
	}
}

func TestHandler_DeadLettersUndecodableEvents(t *testing.T) {
	t.Parallel()
	db := database(t)
	tr := &tapped{eventstest.NewTransport(), make(chan []transport.Consumer, 1)}
	cfg := config()
	deadLetters := make(chan events.DeadLetter, 10)
	cfg.OnDeadLetter = func(_ context.Context, d events.DeadLetter) { deadLetters <- d }
	start(t, db, tr, cfg, handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		t.Error("the handler was called")
		return nil
	}))
	consumer := receive(t, tr.consumers, "the bus consumes")[0]

	envelope := `{"specversion":"1.0","id":"i","type":%q,"source":"/s","data":%s}`
	for name, c := range map[string]struct {
		body string
		want transport.Reason
	}{
		"no JSON":         {`}`, transport.ReasonUndecodable},
		"no envelope":     {`{"orderId":"o"}`, transport.ReasonUndecodable},
		"other data":      {fmt.Sprintf(envelope, "order.created.v1", `{"orderId":7}`), transport.ReasonUndecodable},
		"another version": {fmt.Sprintf(envelope, "order.created.v2", `{}`), transport.ReasonIncompatible},
		"another type":    {fmt.Sprintf(envelope, "order.closed.v1", `{}`), transport.ReasonIncompatible},
	} {
		v := consumer.Handle(transport.Delivery{Body: []byte(c.body), Attempt: 1})
		v.Completed()
		d := receive(t, deadLetters, "hook")
		if v.Action != transport.DeadLetter || v.Reason != c.want || v.Err == nil {
			t.Errorf("%s: outcome %+v, want %s", name, v, c.want)
		}
		if d.Reason != c.want || d.Queue.String() != "order.order-created" || string(d.Body) != c.body || d.Attempts != 1 {
			t.Errorf("%s: the hook received %+v", name, d)
		}
	}
}

func TestHandler_PanicIsRetried(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, config(), handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error { panic("ouch") }))
	v := tr.Deliver(t, orderCreated{OrderID: "o"})
	if v.Action != transport.Retry || !strings.Contains(v.Err.Error(), "ouch") || !strings.Contains(v.Err.Error(), "handler_test.go") {
		t.Errorf("outcome %+v", v)
	}
}

func TestHandler_TimeoutIsRetried(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, config(), handle(func(ctx context.Context, tx *gorm.DB, _ events.Received[orderCreated]) error {
		return tx.Exec("select pg_sleep(60)").Error
	}, events.WithTimeout(50*time.Millisecond)))
	v := tr.Deliver(t, orderCreated{OrderID: "o"})
	if v.Action != transport.Retry || !errors.Is(v.Err, context.DeadlineExceeded) {
		t.Errorf("outcome %+v", v)
	}
}

func TestHandler_PausesWhileUnavailable(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	var calls atomic.Int32
	start(t, db, tr, config(), handle(func(_ context.Context, _ *gorm.DB, e events.Received[orderCreated]) error {
		if e.Attempt != 1 {
			t.Errorf("attempt %d", e.Attempt)
		}
		if calls.Add(1) < 3 {
			return events.Unavailable(errNo)
		}
		return nil
	}))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack || calls.Load() != 3 {
		t.Errorf("outcome %+v after %d calls", v, calls.Load())
	}
}

// An attempt that fails just before an outage ends may fail because of it, although the check finds no outage any more.
func TestHandler_FirstFailureAfterPauseIsFree(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	var calls atomic.Int32
	failures := []error{events.Unavailable(errNo), errNo, nil, events.Unavailable(errNo), errNo, errNo}
	start(t, db, tr, config(), handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		return failures[calls.Add(1)-1]
	}))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Ack || calls.Load() != 3 {
		t.Errorf("outcome %+v after %d calls", v, calls.Load())
	}
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Retry || v.Attempt != 1 || calls.Load() != 6 {
		t.Errorf("outcome %+v of an event that keeps failing, after %d calls", v, calls.Load())
	}
}

func TestHandler_RequeuesAfterPauseLimit(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	cfg := config()
	cfg.Handlers.PauseLimit = 50 * time.Millisecond
	start(t, db, tr, cfg, handleWith(events.Unavailable(errNo)))
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}); v.Action != transport.Requeue || !errors.Is(v.Err, errNo) {
		t.Errorf("outcome %+v", v)
	}
}

func TestHandler_RequeuesPausedEventOnShutdown(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	called := make(chan struct{})
	var once sync.Once
	stop := start(t, db, tr, config(), handle(func(context.Context, *gorm.DB, events.Received[orderCreated]) error {
		once.Do(func() { close(called) })
		return events.Unavailable(errNo)
	}))
	outcome := make(chan transport.Outcome, 1)
	go func() { outcome <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
	receive(t, called, "the handler is called")
	stop()
	if v := receive(t, outcome, "outcome"); v.Action != transport.Requeue {
		t.Errorf("outcome %+v", v)
	}
}

func TestHandler_FinishesOnShutdown(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		createEffects(t, db)
		called, goOn := make(chan struct{}), make(chan struct{})
		bus := newBus(t, db, tr, config(), handle(func(ctx context.Context, tx *gorm.DB, _ events.Received[orderCreated]) error {
			close(called)
			<-goOn
			return errors.Join(ctx.Err(), insertEffect(tx, "o"), events.Publish(ctx, tx, orderSeen{OrderID: "o"}))
		}))
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- bus.Run(ctx) }()
		outcome := make(chan transport.Outcome, 1)
		go func() { outcome <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
		receive(t, called, "the handler is called")
		cancel()
		close(goOn)

		if v := receive(t, outcome, "outcome"); v.Action != transport.Ack {
			t.Errorf("outcome %+v", v)
		}
		if err := receive(t, stopped, "the bus stops"); err != nil {
			t.Error(err)
		}
		if n := countEffects(t, db, "o"); n != 1 {
			t.Errorf("handled %d times", n)
		}
		if n := len(tr.Published()); n != 1 {
			t.Errorf("%d events published by the handler before the bus stopped", n)
		}
	})
}

func TestHandler_CanceledAfterShutdownTimeout(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		called := make(chan struct{})
		cfg := config()
		cfg.ShutdownTimeout = 50 * time.Millisecond
		bus := newBus(t, db, tr, cfg, handle(func(ctx context.Context, _ *gorm.DB, _ events.Received[orderCreated]) error {
			close(called)
			<-ctx.Done()
			return ctx.Err()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- bus.Run(ctx) }()
		outcome := make(chan transport.Outcome, 1)
		go func() { outcome <- tr.Deliver(t, orderCreated{OrderID: "o"}) }()
		receive(t, called, "the handler is called")
		cancel()
		if v := receive(t, outcome, "outcome"); v.Action != transport.Requeue {
			t.Errorf("outcome %+v, want the event back in the queue", v)
		}
		if err := receive(t, stopped, "the bus stops"); err == nil {
			t.Error("Run returned no error although a handler was canceled")
		}
	})
}

func TestHandler_CommitsWithItsEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		createEffects(t, db)
		start(t, db, tr, config(), handle(func(ctx context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
			if err := insertEffect(tx, e.Event.OrderID); err != nil {
				return err
			}
			if err := events.Publish(ctx, tx, orderSeen{OrderID: e.Event.OrderID}); err != nil {
				return err
			}
			if e.Attempt == 1 {
				return errNo
			}
			return nil
		}))
		if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("1")); v.Action != transport.Retry {
			t.Fatalf("outcome %+v", v)
		}
		if n := countEffects(t, db, "o") + countRows(t, db, "o") + len(tr.Published()) + scan[int](t, db, "select count(*) from inbox"); n != 0 {
			t.Errorf("the failed attempt left %d traces", n)
		}
		if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("1"), eventstest.OnAttempt(2)); v.Action != transport.Ack {
			t.Fatalf("outcome %+v", v)
		}
		if n := countEffects(t, db, "o"); n != 1 {
			t.Errorf("handled %d times", n)
		}
		tr.WaitFor(t, "order.seen.v1", "o")
	})
}

func TestHandler_PropagatesContext(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	start(t, db, tr, config(), handle(func(ctx context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return events.Publish(ctx, tx, orderSeen{OrderID: e.Event.OrderID})
	}))
	tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("cause"), eventstest.WithCorrelation("flow"), eventstest.WithTenant("acme"))
	got := tr.WaitFor(t, "order.seen.v1", "o")
	if got.CausationID != "cause" || got.CorrelationID != "flow" || got.TenantID != "acme" {
		t.Errorf("published with %+v", got.Metadata)
	}
}

func TestHandler_RunsOnceForConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		createEffects(t, db)
		start(t, db, tr, config(), handle(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
			return insertEffect(tx, e.Event.OrderID)
		}))
		concurrently(20, func(int) {
			if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("same")); v.Action != transport.Ack {
				t.Errorf("outcome %+v", v)
			}
		})
		if n := countEffects(t, db, "o"); n != 1 {
			t.Errorf("handled %d times", n)
		}
	})
}

func TestHandler_IndependentOfOtherHandlers(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		db, tr := open(t, url), eventstest.NewTransport()
		createEffects(t, db)
		start(t, db, tr, config(),
			events.Handle("good", func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
				return insertEffect(tx, "good")
			}),
			events.Handle("bad", func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error { return errNo }))
		for range 2 {
			if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("same"), eventstest.To("bad")); v.Action != transport.Retry {
				t.Errorf("bad: %+v", v)
			}
			if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("same"), eventstest.To("good")); v.Action != transport.Ack {
				t.Errorf("good: %+v", v)
			}
		}
		if n := countEffects(t, db, "good"); n != 1 {
			t.Errorf("handled %d times", n)
		}
	})
}

func TestHandler_HasLockTimeout(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	var limit string
	start(t, db, tr, config(), handle(func(_ context.Context, tx *gorm.DB, _ events.Received[orderCreated]) error {
		return tx.Raw("show lock_timeout").Row().Scan(&limit)
	}))
	tr.Deliver(t, orderCreated{OrderID: "o"})
	if limit != "2s" {
		t.Errorf("lock_timeout is %q", limit)
	}
	if outside := scan[string](t, db, "show lock_timeout"); outside != "0" {
		t.Errorf("lock_timeout is %q outside of handlers", outside)
	}
}

// A row that another session keeps locked costs no attempt, not even the last one, and the event waits in the transport.
func TestHandler_LockSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	cfg := config()
	cfg.RetryDelays = []time.Duration{time.Second, 5 * time.Second}
	exec(t, db, "create table pairs (id integer primary key)")
	exec(t, db, "insert into pairs values (0)")
	start(t, db, tr, cfg, handle(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return tx.Exec("select from pairs where id = 0 for update nowait").Error
	}))
	held := db.Begin()
	if err := held.Exec("select from pairs for update").Error; err != nil {
		t.Fatal(err)
	}
	last := len(cfg.RetryDelays) + 1
	v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.OnAttempt(last))
	for range 3 {
		if v.Action != transport.Retry || !v.Uncounted || v.Attempt != last-1 || v.Delay != time.Second {
			t.Fatalf("outcome %+v", v)
		}
		v = tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.Following(v))
	}
	if err := held.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.Following(v)); v.Action != transport.Ack {
		t.Errorf("outcome %+v", v)
	}
}

// A prepared statement fails once on each connection after a column has changed its type.
func TestHandler_RepeatsAfterSchemaChange(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, "create table pairs (id integer primary key)")
	start(t, db, tr, config(), handle(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return tx.Raw("select * from pairs where id > ?", 0).Scan(&[]map[string]any{}).Error
	}))
	for i, statement := range []string{"", "alter table pairs add column n integer", "alter table pairs alter column id type bigint"} {
		if statement != "" {
			exec(t, db, statement)
		}
		if v := tr.Deliver(t, orderCreated{OrderID: fmt.Sprint(i)}); v.Action != transport.Ack {
			t.Errorf("outcome %+v after %q", v, statement)
		}
	}
}

func TestHandler_RepeatsAfterDeadlock(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, "create table pairs (id integer primary key, n integer)")
	exec(t, db, "insert into pairs values (0, 0), (1, 0)")
	var attempts atomic.Int32
	var both sync.WaitGroup
	both.Add(2)
	start(t, db, tr, config(), handle(func(ctx context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		first := attempts.Add(1) <= 2
		if e.Attempt != 1 {
			t.Errorf("attempt %d", e.Attempt)
		}
		if err := tx.Exec("update pairs set n = n + 1 where id = ?", e.Event.Number).Error; err != nil {
			return err
		}
		if first {
			both.Done()
			both.Wait()
		}
		return tx.Exec("update pairs set n = n + 1 where id = ?", 1-e.Event.Number).Error
	}))
	concurrently(2, func(i int) {
		if v := tr.Deliver(t, orderCreated{OrderID: fmt.Sprint(i), Number: i}); v.Action != transport.Ack {
			t.Errorf("outcome %+v", v)
		}
	})
	if attempts.Load() < 3 {
		t.Error("no deadlock: the test proved nothing")
	}
	if n := scan[int](t, db, "select count(*) from pairs where n = 2"); n != 2 {
		t.Errorf("%d of 2 rows were changed by both", n)
	}
}

func TestHandleExternal_CallsBeforeTransaction(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	createEffects(t, db)
	var calls atomic.Int32
	start(t, db, tr, config(), events.HandleExternal("order-created",
		func(_ context.Context, e events.Received[orderCreated]) (string, error) {
			calls.Add(1)
			if n := scan[int](t, db, "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"); n != 0 {
				t.Errorf("%d transactions are open during the external call", n)
			}
			if e.Attempt == 1 {
				return "", errNo
			}
			return "receipt", nil
		},
		func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated], receipt string) error {
			if e.Attempt == 2 {
				return errNo
			}
			return insertEffect(tx, receipt)
		}))
	for i, want := range []transport.Action{transport.Retry, transport.Retry, transport.Ack, transport.Ack} {
		if v := tr.Deliver(t, orderCreated{OrderID: "o"}, eventstest.WithID("same"), eventstest.OnAttempt(i+1)); v.Action != want {
			t.Errorf("delivery %d: %+v", i+1, v)
		}
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls, want one per attempt and none for the duplicate", calls.Load())
	}
	if n := countEffects(t, db, "receipt"); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

func TestCleanup_PurgesInBatches(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	exec(t, db, `create table batches (n bigint)`)
	exec(t, db, `create function count_batch() returns trigger language plpgsql as
		$$ begin insert into batches select count(*) from gone; return null; end $$`)
	exec(t, db, `create trigger watch after delete on inbox referencing old table as gone
		for each statement execute function count_batch()`)
	exec(t, db, `insert into inbox select 'r', 'old-' || n, now() - interval '8 days' from generate_series(1, 2500) n`)
	exec(t, db, `insert into inbox select 'r', 'new-' || n, now() - interval '6 days' from generate_series(1, 10) n`)
	cfg := config()
	cfg.Inbox.ReplayWindow, cfg.Inbox.Retention = 24*time.Hour, 7*24*time.Hour
	cfg.Inbox.CleanupInterval = time.Hour
	start(t, db, tr, cfg)
	eventually(t, "old inbox records purged", func() bool {
		return scan[int](t, db, "select count(*) from inbox where event_id like 'old%'") == 0
	})
	if n := scan[int](t, db, "select count(*) from inbox"); n != 10 {
		t.Errorf("%d of 10 new inbox records left", n)
	}
	if n := scan[int](t, db, "select max(n) from batches"); n != 1000 {
		t.Errorf("one statement deleted %d inbox records", n)
	}
}

// interrupted is a pool whose transactions do not write the first inbox record. They wait until the context has ended
// and return no error and no affected row, as drivers for SQLite may do.
type interrupted struct {
	gorm.ConnPool
	once sync.Once
}

func (p *interrupted) GetDBConn() (*sql.DB, error) { return p.ConnPool.(*sql.DB), nil }

func (p *interrupted) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.ConnPool.(*sql.DB).BeginTx(ctx, opts)
	return &interruptedTx{tx, p}, err
}

type interruptedTx struct {
	*sql.Tx
	pool *interrupted
}

func (t *interruptedTx) ExecContext(ctx context.Context, query string, args ...any) (r sql.Result, err error) {
	if strings.Contains(query, "into inbox") {
		t.pool.once.Do(func() {
			<-ctx.Done()
			r = driver.RowsAffected(0)
		})
	}
	if r != nil {
		return r, nil
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

func TestHandler_InterruptedInsertIsNoDuplicate(t *testing.T) {
	t.Parallel()
	db, tr := database(t), eventstest.NewTransport()
	createEffects(t, db)
	db.ConnPool = &interrupted{ConnPool: db.ConnPool}
	db.Statement.ConnPool = db.ConnPool
	start(t, db, tr, config(), handle(func(_ context.Context, tx *gorm.DB, e events.Received[orderCreated]) error {
		return insertEffect(tx, e.Event.OrderID)
	}, events.WithTimeout(50*time.Millisecond)))
	once := eventstest.WithID("event-1")
	if v := tr.Deliver(t, orderCreated{OrderID: "o"}, once); v.Action != transport.Retry || countEffects(t, db, "o") != 0 {
		t.Errorf("outcome %+v", v)
	}
	eventually(t, "it is done", func() bool { // a slow machine may need several attempts
		return tr.Deliver(t, orderCreated{OrderID: "o"}, once).Action == transport.Ack
	})
	if n := countEffects(t, db, "o"); n != 1 {
		t.Errorf("handled %d times", n)
	}
}
