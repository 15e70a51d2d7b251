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

// suitePatience bounds every wait of the suite. It is generous because machines are noisy and broken things rare.
const suitePatience = time.Minute

// ladder is the suite's: as short as lets its order be seen.
var ladder = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// scene is a stage with the suite's tools. Its methods end the test if they fail.
type scene struct {
	Stage
	t         *testing.T
	observers map[string]*gorm.DB
	queues    []transport.Queue
	actors    []*actor
}

func newScene(t *testing.T, stage Stage) *scene {
	return &scene{Stage: stage, t: t, observers: map[string]*gorm.DB{}}
}

// config is that of a service, as impatient as tests are.
func (s *scene) config(service string) events.Config {
	return events.Config{
		Events: declared, Service: service, RetryDelays: ladder, Relay: events.RelayConfig{PollInterval: 50 * time.Millisecond, LeaseTTL: time.Second, PublishTimeout: 5 * time.Second},
		ShutdownTimeout: 10 * time.Second,
		OnDeadLetter:    func(context.Context, events.DeadLetter) {},
		Logger:          slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	}
}

// actor is one instance of a service with a running bus.
type actor struct {
	Process
	taken  *tally
	cancel context.CancelFunc
	result chan error
	stop   func()
}

// announce declares the topology of a service.
func (s *scene) announce(service string, subs ...events.Subscription) {
	s.t.Helper()
	topology, err := events.NewTopology(s.config(service), subs...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Apply(s.t, topology)
	for _, q := range topology.Queues {
		if !slices.ContainsFunc(s.queues, func(known transport.Queue) bool { return known.String() == q.String() }) {
			s.queues = append(s.queues, q)
		}
	}
}

// enter declares the topology of a service and starts an instance.
func (s *scene) enter(service string, subs ...events.Subscription) *actor {
	s.t.Helper()
	s.announce(service, subs...)
	return s.start(s.config(service), subs...)
}

// start starts an instance of the service that cfg names.
func (s *scene) start(cfg events.Config, subs ...events.Subscription) *actor {
	s.t.Helper()
	s.observe(cfg.Service)
	a := &actor{Process: s.Process(s.t, cfg.Service), taken: &tally{}, result: make(chan error, 1)}
	bus, err := events.New(a.DB, counted{a.Transport, a.taken}, cfg, subs...)
	if err != nil {
		s.t.Fatal(err)
	}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	go func() { a.result <- bus.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		a.cancel()
		if err := <-a.result; err != nil {
			s.t.Errorf("an instance of %s did not stop cleanly: %v", cfg.Service, err)
		}
	})
	s.t.Cleanup(func() { a.stop() })
	s.actors = append(s.actors, a)
	return a
}

// kill takes an instance away as a crash would: nothing it does from now on reaches anyone.
func (s *scene) kill(a *actor) {
	a.Broker.Cut()
	a.Database.Cut()
	a.cancel()
	a.stop = sync.OnceFunc(func() { <-a.result })
}

// observe is a handle on the service's database that no fault touches, with all tables.
func (s *scene) observe(service string) *gorm.DB {
	s.t.Helper()
	if db, ok := s.observers[service]; ok {
		return db
	}
	db := s.Observe(s.t, service)
	if err := events.Migrate(s.t.Context(), db); err != nil {
		s.t.Fatal(err)
	}
	if err := db.AutoMigrate(&effect{}); err != nil {
		s.t.Fatal(err)
	}
	s.observers[service] = db
	return db
}

// effect is what the suite's reactions write, one row each time they are applied.
type effect struct {
	ID       int64 `gorm:"primaryKey"`
	Reaction string
	EventID  string
	Note     string
	Number   int
}

type reactionFunc func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error

// reacts binds a reaction that writes its effect and then does more.
func reacts(reaction string, more reactionFunc, opts ...events.SubscribeOption) events.Subscription {
	return events.Handle(reaction, func(ctx context.Context, tx *gorm.DB, e events.Received[noteSent]) error {
		row := effect{Reaction: reaction, EventID: e.ID, Note: e.Event.Note, Number: e.Event.Number}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return more(ctx, tx, e)
	}, opts...)
}

// reads binds a reaction that writes its effect.
func reads(reaction string, opts ...events.SubscribeOption) events.Subscription {
	return reacts(reaction, func(context.Context, *gorm.DB, events.Received[noteSent]) error { return nil }, opts...)
}

// effects lists what a reaction has done.
func (s *scene) effects(service, reaction string) []effect {
	s.t.Helper()
	var list []effect
	if err := s.observe(service).Where("reaction = ?", reaction).Order("id").Find(&list).Error; err != nil {
		s.t.Fatal(err)
	}
	return list
}

// awaitEffects waits until a reaction has been applied n times.
func (s *scene) awaitEffects(service, reaction string, n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d effects of %s.%s", n, service, reaction), func() bool {
		return len(s.effects(service, reaction)) >= n
	})
}

// send commits one transaction of an instance that publishes these.
func (s *scene) send(a *actor, etos ...events.ETO) {
	s.t.Helper()
	s.sendWith(context.Background(), a, etos)
}

func (s *scene) sendWith(ctx context.Context, a *actor, etos []events.ETO, opts ...events.PublishOption) {
	s.t.Helper()
	if err := a.DB.Transaction(func(tx *gorm.DB) error {
		for _, eto := range etos {
			if err := events.Publish(ctx, tx, eto, opts...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

// notes makes n notes with successive numbers about a few subjects in turn.
func notes(n, subjects int) []events.ETO {
	list := make([]events.ETO, n)
	for i := range list {
		list[i] = noteSent{Note: fmt.Sprint("note-", i%subjects), Number: i}
	}
	return list
}

// post gives messages straight to the transport until it has confirmed them all.
func (s *scene) post(a *actor, msgs ...transport.Message) {
	s.t.Helper()
	s.until("messages posted", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		return errors.Join(a.Transport.Publish(ctx, msgs)...) == nil
	})
}

// message encodes a note as the message that would carry it.
func (s *scene) message(id string, n noteSent) transport.Message {
	s.t.Helper()
	data, err := json.Marshal(n)
	if err != nil {
		s.t.Fatal(err)
	}
	env := transport.Envelope{Data: data, Metadata: events.Metadata{
		ID: id, Type: n.EventType(), Source: "/suite", Subject: n.Note, Time: time.Now().UTC(),
	}}
	body, err := json.Marshal(env)
	if err != nil {
		s.t.Fatal(err)
	}
	return transport.Message{Metadata: env.Metadata, Publisher: senderService, Mandatory: true, Body: body}
}

// waiting counts the outbox rows of a service for which a condition holds.
func (s *scene) waiting(service, condition string) int {
	s.t.Helper()
	var n int64
	if err := s.observe(service).Table("outbox").Where(condition).Count(&n).Error; err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

// until waits for a condition.
func (s *scene) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(suitePatience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// signalled waits until c is closed or has a value.
func (s *scene) signalled(what string, c <-chan struct{}) {
	s.t.Helper()
	select {
	case <-c:
	case <-time.After(suitePatience):
		s.t.Fatalf("waited in vain: %s", what)
	}
}

// curtain waits until nothing is on its way any more, stops everyone, and checks that nothing was given up and
// nothing applied twice.
func (s *scene) curtain() {
	s.t.Helper()
	s.drained()
	for _, q := range s.queues {
		if dead := s.DeadLetters(s.t, q); len(dead) > 0 {
			s.t.Errorf("%s has %d dead letters, the first: %s: %s", q, len(dead), dead[0].Reason, dead[0].Error)
		}
	}
	s.once()
}

// drained waits until no outbox and no queue has anything left, then stops everyone.
func (s *scene) drained() {
	s.t.Helper()
	for service := range s.observers {
		s.until("the outbox of "+service+" is empty", func() bool { return s.waiting(service, "1 = 1") == 0 })
	}
	for _, q := range s.queues {
		s.until(q.String()+" is empty", func() bool { return s.Depth(s.t, q) == 0 })
	}
	for _, a := range s.actors {
		a.stop()
	}
}

// once checks that every effect is there once.
func (s *scene) once() {
	s.t.Helper()
	for service, db := range s.observers {
		var twice []effect
		if err := db.Model(&effect{}).Select("reaction, event_id").Group("reaction, event_id").
			Having("count(*) > 1").Find(&twice).Error; err != nil {
			s.t.Fatal(err)
		}
		for _, e := range twice {
			s.t.Errorf("%s.%s applied event %s more than once", service, e.Reaction, e.EventID)
		}
	}
}

// tally remembers what was delivered to one instance.
type tally struct {
	mu   sync.Mutex
	list []taken
}

// taken is one delivery.
type taken struct {
	reaction string
	attempt  int
}

func (y *tally) count(reaction string) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := 0
	for _, d := range y.list {
		if d.reaction == reaction {
			n++
		}
	}
	return n
}

// mostAttempts is the highest attempt that a reaction saw.
func (y *tally) mostAttempts(reaction string) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	most := 0
	for _, d := range y.list {
		if d.reaction == reaction {
			most = max(most, d.attempt)
		}
	}
	return most
}

// counted tallies the deliveries of a transport.
type counted struct {
	transport.Transport
	tally *tally
}

func (c counted) Consume(ctx context.Context, consumers []transport.Consumer) error {
	consumers = slices.Clone(consumers)
	for i := range consumers {
		reaction, handle := consumers[i].Handler, consumers[i].Handle
		consumers[i].Handle = func(d transport.Delivery) transport.Outcome {
			c.tally.mu.Lock()
			c.tally.list = append(c.tally.list, taken{reaction, d.Attempt})
			c.tally.mu.Unlock()
			return handle(d)
		}
	}
	return c.Transport.Consume(ctx, consumers)
}
