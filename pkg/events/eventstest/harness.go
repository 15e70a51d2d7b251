package eventstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// suiteTimeout bounds each wait of the suite. It is long, for slow machines.
const suiteTimeout = time.Minute

// retryDelays are short, and differ enough to recognise each.
var retryDelays = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// harness runs services in an environment. Its methods call t.Fatal on an error.
type harness struct {
	Environment
	t         *testing.T
	databases map[string]*gorm.DB
	queues    []transport.Queue
	instances []*instance
}

func newHarness(t *testing.T, environment Environment) *harness {
	return &harness{Environment: environment, t: t, databases: map[string]*gorm.DB{}}
}

// config returns the configuration of a service, with short timeouts.
func (h *harness) config(service string) events.Config {
	return events.Config{
		Service: service, Events: declared, RetryDelays: retryDelays,
		Relay:           events.RelayConfig{PollInterval: 50 * time.Millisecond, LeaseTTL: time.Second, PublishTimeout: 5 * time.Second},
		ShutdownTimeout: 10 * time.Second,
		OnDeadLetter:    func(context.Context, events.DeadLetter) {},
		Logger:          slog.New(slog.NewTextHandler(h.t.Output(), nil)),
	}
}

// instance is one instance of a service with a running bus.
type instance struct {
	Process
	deliveries *deliveryLog
	cancel     context.CancelFunc
	result     chan error
	stop       func()
}

// declare declares the topology of a service.
func (h *harness) declare(service string, subs ...events.Subscription) {
	h.t.Helper()
	topology, err := events.NewTopology(h.config(service), subs...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Declare(h.t, topology)
	for _, q := range topology.Queues {
		if !slices.ContainsFunc(h.queues, func(known transport.Queue) bool { return known.String() == q.String() }) {
			h.queues = append(h.queues, q)
		}
	}
}

// startService declares the topology of a service and starts an instance.
func (h *harness) startService(service string, subs ...events.Subscription) *instance {
	h.t.Helper()
	h.declare(service, subs...)
	return h.start(h.config(service), subs...)
}

// start starts an instance of the service that cfg names.
func (h *harness) start(cfg events.Config, subs ...events.Subscription) *instance {
	h.t.Helper()
	h.database(cfg.Service)
	a := &instance{Process: h.Process(h.t, cfg.Service), deliveries: &deliveryLog{}, result: make(chan error, 1)}
	bus, err := events.New(a.DB, logging{a.Transport, a.deliveries}, cfg, subs...)
	if err != nil {
		h.t.Fatal(err)
	}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	go func() { a.result <- bus.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		a.cancel()
		if err := <-a.result; err != nil {
			h.t.Errorf("an instance of %s did not stop cleanly: %v", cfg.Service, err)
		}
	})
	h.t.Cleanup(func() { a.stop() })
	h.instances = append(h.instances, a)
	return a
}

// kill stops an instance as a crash would: it cuts its links first.
func (h *harness) kill(a *instance) {
	a.Broker.Cut()
	a.Database.Cut()
	a.cancel()
	a.stop = sync.OnceFunc(func() { <-a.result }) //nolint:errcheck // a crash is no clean end
}

// database returns a handle on the service's database that no link affects. All tables exist.
func (h *harness) database(service string) *gorm.DB {
	h.t.Helper()
	if db, ok := h.databases[service]; ok {
		return db
	}
	db := h.OpenDatabase(h.t, service)
	if err := events.Migrate(h.t.Context(), db); err != nil {
		h.t.Fatal(err)
	}
	if err := db.AutoMigrate(&effect{}); err != nil {
		h.t.Fatal(err)
	}
	h.databases[service] = db
	return db
}

// effect is a row that a handler of the suite writes each time it is called.
type effect struct {
	ID      int64 `gorm:"primaryKey"`
	Handler string
	EventID string
	Note    string
	Number  int
}

type handlerFunc func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error

// handle subscribes a handler that writes its effect and then calls more.
func handle(handler string, more handlerFunc, opts ...events.SubscribeOption) events.Subscription {
	return events.Handle(handler, func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		row := effect{Handler: handler, EventID: e.ID, Note: e.Event.Note, Number: e.Event.Number}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return more(ctx, tx, e)
	}, opts...)
}

// record subscribes a handler that writes its effect.
func record(handler string, opts ...events.SubscribeOption) events.Subscription {
	return handle(handler, func(context.Context, *gorm.DB, events.Received[noteSent]) error { return nil }, opts...)
}

// effects returns the effects of a handler.
func (h *harness) effects(service, handler string) []effect {
	h.t.Helper()
	var list []effect
	if err := h.database(service).Where("handler = ?", handler).Order("id").Find(&list).Error; err != nil {
		h.t.Fatal(err)
	}
	return list
}

// awaitEffects waits until a handler has committed n effects.
func (h *harness) awaitEffects(service, handler string, n int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d effects of %s.%s", n, service, handler), func() bool {
		return len(h.effects(service, handler)) >= n
	})
}

// send publishes events in one transaction of an instance.
func (h *harness) send(a *instance, etos ...events.ETO) {
	h.t.Helper()
	h.sendWith(context.Background(), a, etos)
}

func (h *harness) sendWith(ctx context.Context, a *instance, etos []events.ETO, opts ...events.PublishOption) {
	h.t.Helper()
	if err := a.DB.Transaction(func(tx *gorm.DB) error {
		for _, eto := range etos {
			if err := events.Publish(ctx, tx, eto, opts...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
}

// notes returns n notes with successive numbers, whose subjects alternate.
func notes(n, subjects int) []events.ETO {
	list := make([]events.ETO, n)
	for i := range list {
		list[i] = noteSent{Note: fmt.Sprint("note-", i%subjects), Number: i}
	}
	return list
}

// publish passes messages directly to the transport until it has confirmed all of them.
func (h *harness) publish(a *instance, msgs ...transport.Message) {
	h.t.Helper()
	h.until("the messages are confirmed", func() bool {
		ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
		defer cancel()
		return errors.Join(a.Transport.Publish(ctx, msgs)...) == nil
	})
}

// message returns the message that carries a note.
func (h *harness) message(id string, n noteSent) transport.Message {
	h.t.Helper()
	data, err := json.Marshal(n)
	if err != nil {
		h.t.Fatal(err)
	}
	env := transport.Envelope{Data: data, Metadata: events.Metadata{
		ID: id, Type: n.EventType(), Source: "/suite", Subject: n.Note, Time: time.Now().UTC(),
	}}
	body, err := json.Marshal(env)
	if err != nil {
		h.t.Fatal(err)
	}
	return transport.Message{Metadata: env.Metadata, Publisher: senderService, Mandatory: true, Body: body}
}

// outboxRows counts the outbox rows of a service for which a condition is true.
func (h *harness) outboxRows(service, condition string) int {
	h.t.Helper()
	var n int64
	if err := h.database(service).Table("outbox").Where(condition).Count(&n).Error; err != nil {
		h.t.Fatal(err)
	}
	return int(n)
}

// until waits until ok reports true.
func (h *harness) until(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.NewTimer(suiteTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			h.t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

// awaitSignal waits until c is closed or has a value.
func (h *harness) awaitSignal(what string, c <-chan struct{}) {
	h.t.Helper()
	select {
	case <-c:
	case <-time.After(suiteTimeout):
		h.t.Fatalf("timed out waiting for: %s", what)
	}
}

// finish drains the environment and checks that there are no dead letters and that no event was applied twice.
func (h *harness) finish() {
	h.t.Helper()
	h.drain()
	for _, q := range h.queues {
		if dead := h.DeadLetters(h.t, q); len(dead) > 0 {
			h.t.Errorf("%s has %d dead letters, the first: %s: %s", q, len(dead), dead[0].Reason, dead[0].Error)
		}
	}
	h.checkAppliedOnce()
}

// drain waits until all outboxes and queues are empty, then stops all instances.
func (h *harness) drain() {
	h.t.Helper()
	for service := range h.databases {
		h.until("the outbox of "+service+" is empty", func() bool { return h.outboxRows(service, "1 = 1") == 0 })
	}
	for _, q := range h.queues {
		h.until(q.String()+" is empty", func() bool { return h.Depth(h.t, q) == 0 })
	}
	for _, a := range h.instances {
		a.stop()
	}
}

// checkAppliedOnce checks that no handler has applied an event twice.
func (h *harness) checkAppliedOnce() {
	h.t.Helper()
	for service, db := range h.databases {
		var twice []effect
		if err := db.Model(&effect{}).Select("handler, event_id").Group("handler, event_id").
			Having("count(*) > 1").Find(&twice).Error; err != nil {
			h.t.Fatal(err)
		}
		for _, e := range twice {
			h.t.Errorf("%s.%s applied event %s more than once", service, e.Handler, e.EventID)
		}
	}
}

// deliveryLog records the deliveries to one instance.
type deliveryLog struct {
	mu   sync.Mutex
	list []loggedDelivery
}

// loggedDelivery is one delivery.
type loggedDelivery struct {
	handler string
	attempt int
}

func (l *deliveryLog) count(handler string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, d := range l.list {
		if d.handler == handler {
			n++
		}
	}
	return n
}

// maxAttempt returns the highest attempt number of the deliveries to a handler.
func (l *deliveryLog) maxAttempt(handler string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := 0
	for _, d := range l.list {
		if d.handler == handler {
			most = max(most, d.attempt)
		}
	}
	return most
}

// logging is a transport that records its deliveries.
type logging struct {
	transport.Transport
	log *deliveryLog
}

func (c logging) Consume(ctx context.Context, consumers []transport.Consumer) error {
	consumers = slices.Clone(consumers)
	for i := range consumers {
		handler, handle := consumers[i].Handler, consumers[i].Handle
		consumers[i].Handle = func(d transport.Delivery) transport.Outcome {
			c.log.mu.Lock()
			c.log.list = append(c.log.list, loggedDelivery{handler, d.Attempt})
			c.log.mu.Unlock()
			return handle(d)
		}
	}
	return c.Transport.Consume(ctx, consumers)
}
