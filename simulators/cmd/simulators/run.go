package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/quadrille-dev/quadrille/simulators/carrier"
	"github.com/quadrille-dev/quadrille/simulators/processor"
)

// Run runs both simulators until ctx ends or one of them fails. It returns when both are closed.
func Run(ctx context.Context, cfg Config) (err error) {
	cards, err := processor.New(processor.Config{Dir: cfg.DataDir, Key: cfg.ProcessorKey, OpsToken: cfg.OpsToken})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cards.Close()) }()
	parcels, err := carrier.New(carrier.Config{
		Dir: cfg.DataDir, DispatchDelay: cfg.CarrierDispatchDelay, DeliveryDelay: cfg.CarrierDeliveryDelay,
		WebhookURL: cfg.CarrierWebhookURL, WebhookSecret: cfg.CarrierWebhookSecret, OpsToken: cfg.OpsToken,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parcels.Close()) }()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return listenAndServe(ctx, cards.Serve, cfg.ProcessorAddr, cfg.ProcessorOpsAddr) })
	group.Go(func() error { return listenAndServe(ctx, parcels.Serve, cfg.CarrierAddr, cfg.CarrierOpsAddr) })
	return group.Wait()
}

// serveFunc serves a simulator on two listeners, which it closes.
type serveFunc func(ctx context.Context, api, operators net.Listener) error

func listenAndServe(ctx context.Context, serve serveFunc, api, operators string) error {
	apiListener, err := net.Listen("tcp", api)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	opsListener, err := net.Listen("tcp", operators)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), apiListener.Close())
	}
	return serve(ctx, apiListener, opsListener)
}
