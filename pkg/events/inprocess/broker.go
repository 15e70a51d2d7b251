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

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// Config tunes a broker. The zero value works.
type Config struct {
	// Logger receives the errors of consumers. Default: slog.Default().
	Logger *slog.Logger
	// Now is the clock, replaceable for simulation. Default: time.Now.
	Now func() time.Time
}

// Broker connects the services of one process. Make one with NewBroker. Its methods are safe for concurrent use.
type Broker struct {
	cfg       Config
	declaring sync.Mutex

	mu      sync.RWMutex // guards what follows
	members map[string]*member
}

// member is a service that has declared its topology.
type member struct {
	name     string
	store    store
	bindings []binding // to its events
	queues   map[string]*queue
}

var errNoQueue = errors.New("inprocess: no such queue")

// NewBroker returns a broker without services. It starts nothing.
func NewBroker(cfg Config) *Broker {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Broker{cfg: cfg, members: map[string]*member{}}
}

// declare creates the tables of the stored inbox, if they are missing, and binds the queues of a topology to their
// publishers: at once, or when those declare theirs. Declaring again adds queues and replaces the store.
func (b *Broker) declare(ctx context.Context, inbox store, topology transport.Topology) error {
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if err := inbox.createTables(ctx); err != nil {
		return err
	}
	// Bindings are stored before they are used, so that none is lost.
	added := map[string][]binding{} // by publisher
	for _, q := range topology.Queues {
		added[q.Publisher] = append(added[q.Publisher], newBinding(q))
	}
	for publisher, list := range added {
		if m := b.member(publisher); m != nil && publisher != topology.Service {
			if err := m.store.bind(ctx, list); err != nil {
				return fmt.Errorf("bind to %s: %w", publisher, err)
			}
		}
	}
	if err := inbox.bind(ctx, append(added[topology.Service], b.subscribers(topology.Service)...)); err != nil {
		return err
	}
	stored, err := inbox.bindings(ctx)
	if err != nil {
		return err
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.members[topology.Service]
	if m == nil {
		m = &member{name: topology.Service, queues: map[string]*queue{}}
		b.members[topology.Service] = m
	}
	m.store, m.bindings = inbox, stored
	for _, q := range topology.Queues {
		queue := m.queues[q.Handler]
		if queue == nil {
			queue = b.newQueue(m, q.Handler)
			m.queues[q.Handler] = queue
		}
		if !slices.Contains(queue.bindings[q.Publisher], newBinding(q)) {
			queue.bindings[q.Publisher] = append(queue.bindings[q.Publisher], newBinding(q))
		}
		if p := b.members[q.Publisher]; p != nil && !slices.Contains(p.bindings, newBinding(q)) {
			p.bindings = append(p.bindings, newBinding(q))
		}
	}
	b.logObsoleteQueues(ctx, topology.Service)
	return nil
}

func (b *Broker) newQueue(m *member, handler string) *queue {
	return newQueue(handler, func() store { return b.storeOf(m) }, b.cfg.Now)
}

// logObsoleteQueues logs the queues that are bound to or belong to a service and have no consumer. The caller holds the
// lock.
func (b *Broker) logObsoleteQueues(ctx context.Context, service string) {
	for _, p := range b.members {
		for _, bound := range p.bindings {
			if bound.Service != service && p.name != service {
				continue // logged before
			}
			if m := b.members[bound.Service]; m != nil && m.queues[bound.Handler] == nil {
				b.cfg.Logger.WarnContext(ctx, "a queue of an earlier release continues to receive until it is unbound",
					"queue", bound.Service+"."+bound.Handler, "publisher", p.name, "event", bound.Event)
			}
		}
	}
}

// Unbind deletes the binding of a queue to its publisher, which must have declared its topology. Events that the queue
// has received stay in its table.
func (b *Broker) Unbind(ctx context.Context, q transport.Queue) error {
	b.declaring.Lock()
	defer b.declaring.Unlock()
	m := b.member(q.Publisher)
	if m == nil {
		return fmt.Errorf("inprocess: unbind %s: service %s has not declared its topology", q, q.Publisher)
	}
	if err := m.store.unbind(ctx, newBinding(q)); err != nil {
		return fmt.Errorf("inprocess: unbind %s: %w", q, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	unbound := func(other binding) bool { return other == newBinding(q) }
	m.bindings = slices.DeleteFunc(m.bindings, unbound)
	if s := b.members[q.Service]; s != nil && s.queues[q.Handler] != nil {
		bindings := s.queues[q.Handler].bindings
		bindings[q.Publisher] = slices.DeleteFunc(bindings[q.Publisher], unbound)
	}
	return nil
}

func (b *Broker) member(service string) *member {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.members[service]
}

// storeOf returns the store of a member. Declaring again replaces it.
func (b *Broker) storeOf(m *member) store {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return m.store
}

// subscribers returns the bindings of all declared queues to the events of a publisher.
func (b *Broker) subscribers(publisher string) (list []binding) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, m := range b.members {
		for _, q := range m.queues {
			list = append(list, q.bindings[publisher]...)
		}
	}
	return list
}

// check implements Transport.Check.
func (b *Broker) check(topology transport.Topology) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := b.members[topology.Service]
	if m == nil {
		return fmt.Errorf("inprocess: %w: service %s has not declared its topology", transport.ErrTopology, topology.Service)
	}
	var missing []string
	for _, q := range topology.Queues {
		if queue := m.queues[q.Handler]; queue == nil || !slices.Contains(queue.bindings[q.Publisher], newBinding(q)) {
			missing = append(missing, q.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("inprocess: %w: missing %s", transport.ErrTopology, strings.Join(missing, ", "))
	}
	return nil
}

// attach returns a new consumer of a queue.
func (b *Broker) attach(q transport.Queue) (*consumer, error) {
	b.mu.RLock()
	var found *queue
	if m := b.members[q.Service]; m != nil {
		found = m.queues[q.Handler]
	}
	b.mu.RUnlock()
	if found == nil {
		return nil, fmt.Errorf("%w: %s", errNoQueue, q)
	}
	return found.attach(), nil
}
