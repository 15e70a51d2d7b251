// Package embedded is the whole shop in one process: the four services, each with a SQLite file of its own, the
// in-process transport between them, and the two simulators with their books. It needs no server and no network but
// the loopback interface; the services' code is the same that runs on Postgres and RabbitMQ.
//
// What was answered or committed is on the disk: killing the process at any moment, or the machine losing its power,
// loses nothing and doubles nothing. After a start in the same folder everything goes on.
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

// Config says where the shop is and how it behaves.
type Config struct {
	// Dir is the folder of all data. It is made if it is not there, and belongs to one running shop.
	Dir string
	// Addresses are where to listen. All must be given.
	Addresses Addresses
	// Environ holds the services' settings, and CARRIER_DISPATCH_DELAY and CARRIER_DELIVERY_DELAY, as NAME=value. What
	// the shop decides by itself is not read: addresses of databases, of a broker and of outside parties, and their keys.
	Environ []string
	// Without names services that stay closed. What the others publish waits for them.
	Without []string
	// OnReady, if set, is called once all services are ready.
	OnReady func(Addresses)
}

// Run opens the shop and blocks until ctx ends, then closes it in order: the services finish what is under way, and
// then the simulators. It returns at once if an address is taken, a setting is wrong, or the folder is in use.
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
	databases, hub, err := openBooks(ctx, cfg.Dir, set)
	defer func() {
		for _, db := range databases {
			err = errors.Join(err, database.Close(db))
		}
	}()
	if err != nil {
		return err
	}
	secret := rand.Text() // between the carrier and us, of this run

	webhook := "http://" + at.Shipping + "/webhooks/carrier"
	if slices.Contains(cfg.Without, "shipping") {
		webhook = "" // so that the carrier's reports wait, whoever listens there now
	}
	sims, err := startSims(ctx, cfg.Dir, set, webhook, secret, listeners)
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return sims.failed(ctx) })
	var open []*doorman
	for _, s := range set.services(at, secret) {
		if slices.Contains(cfg.Without, s.name) {
			continue
		}
		own := set.shared
		own.Listener, own.MaxRequests = listeners[s.name], maxRequests
		door := &doorman{Transport: hub.Transport(), opened: make(chan struct{})}
		open = append(open, door)
		running.Go(func() error {
			if err := s.run(ctx, own, databases[s.name], door); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	running.Go(func() error { return serveQueues(ctx, hub, set.shared.OpsToken.Reveal(), listeners["broker"]) })
	running.Go(func() error {
		for _, door := range open {
			select {
			case <-door.opened:
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
	return errors.Join(running.Wait(), sims.stop())
}

// doorman is a service's transport that tells when the service begins to consume: it is ready then, since it has
// listened for some time.
type doorman struct {
	transport.Transport
	once   sync.Once
	opened chan struct{}
}

// Consume implements transport.Transport.
func (d *doorman) Consume(ctx context.Context, consumers []transport.Consumer) error {
	d.once.Do(func() { close(d.opened) })
	return d.Transport.Consume(ctx, consumers)
}

// openBooks opens the services' databases and has them join a hub, all before the first one runs. It answers what it
// has opened even if it fails.
func openBooks(ctx context.Context, dir string, set settings) (map[string]*gorm.DB, *inprocess.Broker, error) {
	topologies, err := topology.All(set.shared.Events.RetryDelays)
	if err != nil {
		return nil, nil, err
	}
	databases := map[string]*gorm.DB{}
	hub := inprocess.NewBroker(inprocess.Config{})
	for _, t := range topologies {
		db, err := openDatabase(dir, t.Service)
		if err != nil {
			return databases, nil, err
		}
		databases[t.Service] = db
		if err := endLease(ctx, db); err != nil {
			return databases, nil, fmt.Errorf("%s: %w", t.Service, err)
		}
		if err := hub.Join(ctx, db, t); err != nil {
			return databases, nil, err
		}
	}
	return databases, hub, nil
}

// outside is the world outside the shop: both simulators at work.
type outside struct {
	ended chan struct{} // both have stopped serving
	err   error         // why, once that is so
	stop  func() error
}

// startSims opens the outside world. It outlives ctx: whoever called it stops it.
func startSims(ctx context.Context, dir string, set settings, webhook, secret string, listeners map[string]net.Listener) (*outside, error) {
	cards, err := processor.New(processor.Config{Dir: dir, Key: stripeKey, OpsToken: set.shared.OpsToken.Reveal()})
	if err != nil {
		return nil, err
	}
	parcels, err := carrier.New(carrier.Config{
		Dir: dir, DispatchDelay: set.sims.HandoverDelay, DeliveryDelay: set.sims.DeliveryDelay,
		WebhookURL: webhook, WebhookSecret: secret, OpsToken: set.shared.OpsToken.Reveal(),
	})
	if err != nil {
		return nil, errors.Join(err, cards.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	serving, ctx := errgroup.WithContext(ctx) // if one ends, both do
	serving.Go(func() error { return cards.Serve(ctx, listeners["processor"], listeners["processor-ops"]) })
	serving.Go(func() error { return parcels.Serve(ctx, listeners["carrier"], listeners["carrier-ops"]) })
	o := &outside{ended: make(chan struct{})}
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

// failed blocks until ctx ends or a simulator has stopped serving by itself.
func (o *outside) failed(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-o.ended:
		return errors.New("a simulator has stopped") // stop says why
	}
}

// awaitCatalogue lets the products that inventory has put into its catalogue reach the order service, so that the very
// first order finds them. It waits for a minute at most: a shop that is open in part is better than none.
func awaitCatalogue(ctx context.Context, inventory, order *gorm.DB) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		// They leave the one only after they have arrived at the other.
		var leaving, arrived int64
		left := inventory.WithContext(ctx).Table("outbox").Where("type like 'product.%'").Count(&leaving).Error
		taken := order.WithContext(ctx).Table("stored_inbox").Where("type like 'product.%' and dead_lettered_at is null").Count(&arrived).Error
		if left == nil && taken == nil && leaving+arrived == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
