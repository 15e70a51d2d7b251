// Package embedded runs the whole stack in one process: the four services, each with a SQLite file of its own, the
// in-process transport between them, and the two simulators. It needs no server, and no network except the loopback
// interface. The services run the same code as on Postgres and RabbitMQ.
//
// Everything that is committed, or acknowledged to a client, is on the disk. If the process is killed or the machine loses
// its power, nothing is lost and nothing happens twice. The next start in the same folder continues.
package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
	"github.com/quadrille-dev/quadrille/services/topology"
	"github.com/quadrille-dev/quadrille/simulators/carrier"
	"github.com/quadrille-dev/quadrille/simulators/processor"
)

// Config configures a stack.
type Config struct {
	// Dir is the folder of all data. Run creates it if it does not exist, and locks it.
	Dir string
	// Addresses are where to listen. All are required.
	Addresses Addresses
	// Environ holds the services' settings, and CARRIER_DISPATCH_DELAY and CARRIER_DELIVERY_DELAY, as NAME=value. It
	// cannot set what Run determines itself: the addresses of databases, broker and simulators, and their keys.
	Environ []string
	// Without names services that are not started. Their events wait for them.
	Without []string
	// OnReady, if set, is called once all services are ready.
	OnReady func(Addresses)
}

// Run starts the stack and blocks until ctx ends. Then it stops the services, which finish what is in progress, and after
// them the simulators. It returns an error at once if an address or the folder is in use, or a setting is invalid.
func Run(ctx context.Context, cfg Config) (err error) {
	set, err := parseSettings(cfg.Environ)
	if err != nil {
		return err
	}
	if err := checkExposure(&cfg.Addresses, cfg.Environ); err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockFolder(ctx, cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	at := cfg.Addresses
	listeners, err := listen(&at, cfg.Without)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	databases, broker, err := openDatabases(ctx, cfg.Dir, set)
	defer func() {
		for _, db := range databases {
			err = errors.Join(err, database.Close(db))
		}
	}()
	if err != nil {
		return err
	}
	secret := rand.Text() // of the carrier's webhook, for this run

	webhook := "http://" + at.Shipping + "/webhooks/carrier"
	if slices.Contains(cfg.Without, "shipping") {
		webhook = "" // the carrier keeps its reports; another program may listen at the address
	}
	external, err := startSimulators(ctx, cfg.Dir, set, webhook, secret, listeners)
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return external.awaitFailure(ctx) })
	var transports []*readyTransport
	for _, s := range set.services(at, secret) {
		if slices.Contains(cfg.Without, s.name) {
			continue
		}
		own := set.shared
		own.Listener, own.MaxRequests = listeners[s.name], maxRequests
		ready := &readyTransport{Transport: broker.Transport(databases[s.name]), consuming: make(chan struct{})}
		transports = append(transports, ready)
		running.Go(func() error {
			if err := s.run(ctx, own, databases[s.name], ready); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	running.Go(func() error { return serveQueues(ctx, broker, set.shared.OpsToken.Reveal(), listeners["broker"]) })
	running.Go(func() error {
		for _, ready := range transports {
			select {
			case <-ready.consuming:
			case <-ctx.Done():
				return nil
			}
		}
		if !slices.Contains(cfg.Without, "inventory") && !slices.Contains(cfg.Without, "order") {
			awaitCatalogue(ctx, databases["inventory"], databases["order"])
		}
		if cfg.OnReady != nil && ctx.Err() == nil {
			cfg.OnReady(at)
		}
		return nil
	})
	return errors.Join(running.Wait(), external.stop())
}

// readyTransport is the transport of a service. It closes consuming when the service starts to consume events: the service
// is ready then, because it listens for requests before that.
type readyTransport struct {
	transport.Transport
	once      sync.Once
	consuming chan struct{}
}

// Consume implements transport.Transport.
func (d *readyTransport) Consume(ctx context.Context, consumers []transport.Consumer) error {
	d.once.Do(func() { close(d.consuming) })
	return d.Transport.Consume(ctx, consumers)
}

// openDatabases opens the services' databases and declares all topologies, before the first service runs. If it fails, it
// returns the databases that are open.
func openDatabases(ctx context.Context, dir string, set settings) (map[string]*gorm.DB, *inprocess.Broker, error) {
	topologies, err := topology.All(set.shared.Events.RetryDelays)
	if err != nil {
		return nil, nil, err
	}
	databases := map[string]*gorm.DB{}
	broker := inprocess.NewBroker(inprocess.Config{})
	for _, t := range topologies {
		db, err := openDatabase(dir, t.Service)
		if err != nil {
			return databases, nil, err
		}
		databases[t.Service] = db
		if err := endLease(ctx, db); err != nil {
			return databases, nil, fmt.Errorf("%s: %w", t.Service, err)
		}
		if err := broker.Transport(db).Declare(ctx, t); err != nil {
			return databases, nil, err
		}
	}
	return databases, broker, nil
}

// simulators are both running simulators.
type simulators struct {
	ended chan struct{} // closed when both have stopped serving
	err   error         // the cause, once ended is closed
	stop  func() error
}

// startSimulators starts both simulators. They continue after the end of ctx, until the caller stops them.
func startSimulators(ctx context.Context, dir string, set settings, webhook, secret string, listeners map[string]net.Listener) (*simulators, error) {
	cards, err := processor.New(processor.Config{Dir: dir, Key: stripeKey, OpsToken: set.shared.OpsToken.Reveal()})
	if err != nil {
		return nil, err
	}
	parcels, err := carrier.New(carrier.Config{
		Dir: dir, DispatchDelay: set.simulators.DispatchDelay, DeliveryDelay: set.simulators.DeliveryDelay,
		WebhookURL: webhook, WebhookSecret: secret, OpsToken: set.shared.OpsToken.Reveal(),
	})
	if err != nil {
		return nil, errors.Join(err, cards.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	serving, ctx := errgroup.WithContext(ctx) // if one ends, so does the other
	serving.Go(func() error { return cards.Serve(ctx, listeners["processor"], listeners["processor-ops"]) })
	serving.Go(func() error { return parcels.Serve(ctx, listeners["carrier"], listeners["carrier-ops"]) })
	o := &simulators{ended: make(chan struct{})}
	go func() {
		o.err = serving.Wait()
		close(o.ended)
	}()
	o.stop = func() error {
		cancel()
		<-o.ended
		return errors.Join(o.err, parcels.Close(), cards.Close())
	}
	return o, nil
}

// awaitFailure blocks until ctx ends, or a simulator has stopped serving by itself.
func (o *simulators) awaitFailure(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-o.ended:
		return errors.New("a simulator has stopped") // stop returns the cause
	}
}

// awaitCatalogue blocks until the order service has received the products that inventory has seeded, so that the first
// order finds them. It gives up after a minute: the stack is usable without them.
func awaitCatalogue(ctx context.Context, inventory, order *gorm.DB) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		// An event is deleted from the outbox only after it is stored at the subscriber.
		var inOutbox, inInbox int64
		outboxErr := inventory.WithContext(ctx).Table("outbox").Where("type like 'product.%'").Count(&inOutbox).Error
		inboxErr := order.WithContext(ctx).Table("stored_inbox").Where("type like 'product.%' and dead_lettered_at is null").Count(&inInbox).Error
		if outboxErr == nil && inboxErr == nil && inOutbox+inInbox == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
