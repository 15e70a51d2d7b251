package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quadrille-dev/quadrille/simulators/carrier"
	"github.com/quadrille-dev/quadrille/simulators/processor"
)

// Run runs both simulators until ctx ends or one of them fails, and returns when both are closed.
func Run(ctx context.Context, cfg Config) (err error) {
	cards, err := processor.New(processor.Config{Dir: cfg.DataDir, Key: cfg.ProcessorKey, OpsToken: cfg.OpsToken})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cards.Close()) }()
	parcels, err := carrier.New(carrier.Config{
		Dir: cfg.DataDir, HandoverDelay: cfg.CarrierHandoverDelay, DeliveryDelay: cfg.CarrierDeliveryDelay,
		WebhookURL: cfg.CarrierWebhookURL, WebhookSecret: cfg.CarrierWebhookSecret, OpsToken: cfg.OpsToken,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parcels.Close()) }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	start := func(serve func(ctx context.Context, api, operators net.Listener) error, api, operators string) {
		go func() {
			defer cancel() // one does not go on without the other
			ended <- listenAndServe(ctx, serve, api, operators)
		}()
	}
	start(cards.Serve, cfg.ProcessorAddr, cfg.ProcessorOpsAddr)
	start(parcels.Serve, cfg.CarrierAddr, cfg.CarrierOpsAddr)
	return errors.Join(<-ended, <-ended)
}

func listenAndServe(ctx context.Context, serve func(ctx context.Context, api, operators net.Listener) error, api, operators string) error {
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
