// Command events-alone is package events without the rest of Quadrille: two services, each with its own database,
// that share nothing but a broker. It books a table and ends when the kitchen has laid it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

type config struct {
	TablesDatabase, KitchenDatabase, Broker string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg := config{os.Getenv("TABLES_DATABASE_URL"), os.Getenv("KITCHEN_DATABASE_URL"), os.Getenv("AMQP_URL")}
	plates, err := run(ctx, cfg, "7", 4)
	if err != nil {
		fmt.Fprintln(os.Stderr, "events-alone:", err)
		os.Exit(1)
	}
	fmt.Printf("table 7 is laid for 4; plates in use: %d\n", plates)
}

// run starts both services, books a table, waits until it is laid, and stops them.
func run(ctx context.Context, cfg config, table string, guests int) (plates int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)

	tables, err := start(ctx, group, cfg.TablesDatabase, cfg.Broker, "tables", &Table{}, tablesReactions())
	if err != nil {
		return 0, errors.Join(err, finish(stop, group))
	}
	kitchen, err := start(ctx, group, cfg.KitchenDatabase, cfg.Broker, "kitchen", &Plates{}, kitchenReactions())
	if err != nil {
		return 0, errors.Join(err, finish(stop, group))
	}
	err = book(ctx, tables, table, guests)
	if err == nil {
		err = awaitLaid(ctx, tables, table)
	}
	if err == nil {
		err = kitchen.WithContext(ctx).Model(&Plates{}).Select("in_use").Scan(&plates).Error
	}
	return plates, errors.Join(err, finish(stop, group))
}

func finish(stop func(), group *errgroup.Group) error {
	stop()
	return group.Wait()
}

// start is what each service does in its main: open, migrate, declare, run.
func start(
	ctx context.Context, group *errgroup.Group, databaseURL, brokerURL, service string, model any, reactions []events.Subscription,
) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.Open(databaseURL), &gorm.Config{SkipDefaultTransaction: true})
	if err != nil {
		return nil, fmt.Errorf("%s: database: %w", service, err)
	}
	if err := errors.Join(events.Migrate(ctx, db), db.WithContext(ctx).AutoMigrate(model)); err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	transport, err := rabbitmq.New(brokerURL, rabbitmq.Config{Name: service})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	cfg := events.Config{Service: service, Events: declared}
	topology, err := events.NewTopology(cfg, reactions...)
	if err != nil {
		return nil, err
	}
	// In production a job does this for all services before any of them starts.
	if err := transport.Apply(ctx, topology); err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	bus, err := events.New(db, transport, cfg, reactions...)
	if err != nil {
		return nil, err
	}
	group.Go(func() error {
		err := bus.Run(ctx)
		sqlDB, _ := db.DB()
		return errors.Join(err, transport.Close(), sqlDB.Close())
	})
	return db, nil
}

// awaitLaid looks until the kitchen's answer has arrived.
func awaitLaid(ctx context.Context, db *gorm.DB, table string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var row Table
		if err := db.WithContext(ctx).First(&row, "id = ?", table).Error; err != nil {
			return err
		}
		if row.Laid {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
