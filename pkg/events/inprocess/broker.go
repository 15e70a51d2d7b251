package inprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Config tunes a hub. The zero value works.
type Config struct {
	// Logger receives what goes wrong with consumers. Default: slog.Default().
	Logger *slog.Logger
	// Now is the clock, replaceable for simulation. Default: time.Now.
	Now func() time.Time
}

// Hub is where the services of one process meet. Make one with NewHub. Its methods are safe for concurrent use.
type Broker struct {
	cfg     Config
	joining sync.Mutex

	mu      sync.RWMutex // guards what follows
	members map[string]*member
}

// member is a service that has joined.
type member struct {
	name    string
	store   store
	readers []binding // of its events
	queues  map[string]*queue
}

// NewHub makes a hub without members. It starts nothing.
func NewBroker(cfg Config) *Broker {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Broker{cfg: cfg, members: map[string]*member{}}
}

// Join makes a service known to the hub: it creates the tables of the stored inbox in db, if they are missing, and
// binds the queues of the topology to their publishers, now or when those join. It is idempotent and unbinds nothing.
// Joining again adds queues, and replaces the handle by another on the same database. Give it the handle that the bus is
// made for: on SQLite, those who write through one handle take turns. Join blocks for as long as the databases take; on
// an error it may be called again.
func (h *Broker) Join(ctx context.Context, db *gorm.DB, topology transport.Topology) error {
	h.joining.Lock()
	defer h.joining.Unlock()
	if err := h.join(ctx, store{db}, topology); err != nil {
		return fmt.Errorf("inprocess: %s joins: %w", topology.Service, err)
	}
	return nil
}

func (h *Broker) join(ctx context.Context, box store, topology transport.Topology) error {
	if err := box.prepare(ctx); err != nil {
		return err
	}
	// Durably first: from when on a binding is used, it is not forgotten.
	added := map[string][]binding{} // by publisher
	for _, q := range topology.Queues {
		added[q.Publisher] = append(added[q.Publisher], newBinding(q))
	}
	for publisher, list := range added {
		if m := h.member(publisher); m != nil && publisher != topology.Service {
			if err := m.store.bind(ctx, list); err != nil {
				return fmt.Errorf("bind to %s: %w", publisher, err)
			}
		}
	}
	if err := box.bind(ctx, append(added[topology.Service], h.subscribers(topology.Service)...)); err != nil {
		return err
	}
	readers, err := box.bindings(ctx)
	if err != nil {
		return err
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[topology.Service]
	if m == nil {
		m = &member{name: topology.Service, queues: map[string]*queue{}}
		h.members[topology.Service] = m
	}
	m.store, m.readers = box, readers
	for _, q := range topology.Queues {
		queue := m.queues[q.Handler]
		if queue == nil {
			queue = newQueue(h, m, q.Handler)
			m.queues[q.Handler] = queue
		}
		if !slices.Contains(queue.sources[q.Publisher], newBinding(q)) {
			queue.sources[q.Publisher] = append(queue.sources[q.Publisher], newBinding(q))
		}
		if p := h.members[q.Publisher]; p != nil && !slices.Contains(p.readers, newBinding(q)) {
			p.readers = append(p.readers, newBinding(q))
		}
	}
	h.warnOfOrphans(ctx, topology.Service)
	return nil
}

// warnOfOrphans tells of queues that are bound and that nobody will consume. The caller holds the lock.
func (h *Broker) warnOfOrphans(ctx context.Context, joined string) {
	for _, p := range h.members {
		for _, b := range p.readers {
			if b.Service != joined && p.name != joined {
				continue // told before
			}
			if m := h.members[b.Service]; m != nil && m.queues[b.Handler] == nil {
				h.cfg.Logger.WarnContext(ctx, "a queue of an earlier release goes on receiving until it is unbound",
					"queue", b.Service+"."+b.Handler, "publisher", p.name, "event", b.Event)
			}
		}
	}
}

// Unbind makes the hub forget that a queue is bound to its publisher, who must have joined. Events that the queue has
// received stay in its table.
func (h *Broker) Unbind(ctx context.Context, q transport.Queue) error {
	h.joining.Lock()
	defer h.joining.Unlock()
	m := h.member(q.Publisher)
	if m == nil {
		return fmt.Errorf("inprocess: unbind %s: %s has not joined", q, q.Publisher)
	}
	if err := m.store.unbind(ctx, newBinding(q)); err != nil {
		return fmt.Errorf("inprocess: unbind %s: %w", q, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	unbound := func(b binding) bool { return b == newBinding(q) }
	m.readers = slices.DeleteFunc(m.readers, unbound)
	if s := h.members[q.Service]; s != nil && s.queues[q.Handler] != nil {
		sources := s.queues[q.Handler].sources
		sources[q.Publisher] = slices.DeleteFunc(sources[q.Publisher], unbound)
	}
	return nil
}

// Transport makes the transport of one service. Close ends that one only.
func (h *Broker) Transport() *Transport { return &Transport{broker: h, log: h.cfg.Logger} }

func (h *Broker) member(service string) *member {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.members[service]
}

// subscribers lists the queues of those who have joined that want a publisher's events.
func (h *Broker) subscribers(publisher string) (list []binding) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, m := range h.members {
		for _, q := range m.queues {
			list = append(list, q.sources[publisher]...)
		}
	}
	return list
}

// check implements Transport.Check.
func (h *Broker) check(topology transport.Topology) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	m := h.members[topology.Service]
	if m == nil {
		return fmt.Errorf("inprocess: %w: service %s has not joined the hub", transport.ErrTopology, topology.Service)
	}
	var missing []string
	for _, q := range topology.Queues {
		if queue := m.queues[q.Handler]; queue == nil || !slices.Contains(queue.sources[q.Publisher], newBinding(q)) {
			missing = append(missing, q.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("inprocess: %w: the service joined the hub without %s", transport.ErrTopology, strings.Join(missing, ", "))
	}
	return nil
}

// publish implements Transport.Publish.
func (h *Broker) publish(ctx context.Context, msgs []transport.Message) []error {
	outcomes := make([]error, len(msgs))
	loads := map[*member]*delivery{}
	var order []*delivery
	now := h.cfg.Now().UTC()
	for i, m := range msgs {
		targets, err := h.route(m)
		if err != nil {
			outcomes[i] = err
			continue
		}
		for _, q := range targets {
			l := loads[q.member]
			if l == nil {
				l = &delivery{target: h.store(q.member), subjects: map[*queue][]string{}}
				loads[q.member] = l
				order = append(order, l)
			}
			l.subjects[q] = append(l.subjects[q], m.Subject)
			l.messages = append(l.messages, i)
			l.events = append(l.events, storedEvent{
				Handler: q.handler, EventID: m.ID, Type: m.Type, Subject: m.Subject, Body: string(m.Body),
				ReceivedAt: now, DueAt: now,
			})
		}
	}
	for _, l := range order {
		l.store(ctx, outcomes)
	}
	return outcomes
}

func (h *Broker) store(m *member) store {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return m.store
}

// route finds the queues that a message is for.
func (h *Broker) route(msg transport.Message) ([]*queue, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	publisher := h.members[msg.Publisher]
	if publisher == nil {
		return nil, fmt.Errorf("%w: service %s has not joined the hub", transport.ErrUnroutable, msg.Publisher)
	}
	name := nameOf(msg.Type)
	var targets []*queue
	for _, b := range publisher.readers {
		if b.Event != name {
			continue
		}
		m := h.members[b.Service]
		if m == nil {
			return nil, fmt.Errorf("inprocess: %s.%s is bound to this event, and %s has not joined the hub", b.Service, b.Handler, b.Service)
		}
		q := m.queues[b.Handler]
		if q == nil { // of an earlier release: nobody consumes it, but it receives
			q = newQueue(h, m, b.Handler)
		}
		targets = append(targets, q)
	}
	if len(targets) == 0 && msg.Mandatory {
		return nil, fmt.Errorf("%w: no subscription to %s of %s", transport.ErrUnroutable, name, msg.Publisher)
	}
	return targets, nil
}

// load is what one service is to receive of a batch.
type delivery struct {
	target   store
	subjects map[*queue][]string
	events   []storedEvent
	messages []int // the message that each event comes from
}

// store stores all events, or each by itself if one of them spoils it for the rest, and adds to the outcomes.
func (l *delivery) store(ctx context.Context, outcomes []error) {
	err := l.target.store(ctx, l.events)
	if err != nil && refused(err) {
		for i := range l.events {
			l.events[i].ID = 0
			l.fail(outcomes, i, l.target.store(ctx, l.events[i:i+1]))
		}
	} else {
		for i := range l.events {
			l.fail(outcomes, i, err)
		}
	}
	for q, subjects := range l.subjects {
		q.notify(subjects...)
	}
}

// fail notes an error about an event in the outcome of its message. An unknown outcome outweighs a refusal: what is to
// be sent again anyway has not been refused by everyone.
func (l *delivery) fail(outcomes []error, event int, err error) {
	if err == nil {
		return
	}
	outcome := &outcomes[l.messages[event]]
	reaction := l.events[event].Handler
	switch {
	case !refused(err):
		*outcome = fmt.Errorf("inprocess: store for %s: %w", reaction, err)
	case *outcome == nil:
		*outcome = fmt.Errorf("%w: store for %s: %w", transport.ErrRejected, reaction, err)
	}
}

var errNotJoined = errors.New("inprocess: no such queue in the hub")

// attach implements office.
func (h *Broker) attach(q transport.Queue) (consumer, error) {
	h.mu.RLock()
	var found *queue
	if m := h.members[q.Service]; m != nil {
		found = m.queues[q.Handler]
	}
	h.mu.RUnlock()
	if found == nil {
		return nil, fmt.Errorf("%w: %s", errNotJoined, q)
	}
	return found.attach(), nil
}
