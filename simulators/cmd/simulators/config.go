package main

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings of both simulators.
type Config struct {
	ProcessorAddr    string // PROCESSOR_ADDR, default :8091
	ProcessorOpsAddr string // PROCESSOR_OPS_ADDR, default :8093
	ProcessorKey     string // PROCESSOR_KEY, the API key that clients must send, default sk_test_quadrille

	CarrierAddr          string        // CARRIER_ADDR, default :8092
	CarrierOpsAddr       string        // CARRIER_OPS_ADDR, default :8094
	CarrierWebhookURL    string        // CARRIER_WEBHOOK_URL; without one, webhooks stay pending
	CarrierWebhookSecret string        // CARRIER_WEBHOOK_SECRET, required with CARRIER_WEBHOOK_URL
	CarrierDispatchDelay time.Duration // CARRIER_DISPATCH_DELAY, default 2s
	CarrierDeliveryDelay time.Duration // CARRIER_DELIVERY_DELAY, default 2s

	DataDir  string // DATA_DIR, the folder of the journals, default data
	OpsToken string // OPS_TOKEN; without one, /ops rejects every request
}

// ConfigFromEnv returns the settings from the environment. An empty variable counts as unset. The error names every
// variable that is invalid.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	var errs []error
	text := func(name, fallback string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return fallback
	}
	delay := func(name, fallback string) time.Duration {
		d, err := time.ParseDuration(text(name, fallback))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		} else if d < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", name))
		}
		return d
	}
	cfg := Config{
		ProcessorAddr:        text("PROCESSOR_ADDR", ":8091"),
		ProcessorOpsAddr:     text("PROCESSOR_OPS_ADDR", ":8093"),
		ProcessorKey:         text("PROCESSOR_KEY", "sk_test_quadrille"),
		CarrierAddr:          text("CARRIER_ADDR", ":8092"),
		CarrierOpsAddr:       text("CARRIER_OPS_ADDR", ":8094"),
		CarrierWebhookURL:    text("CARRIER_WEBHOOK_URL", ""),
		CarrierWebhookSecret: text("CARRIER_WEBHOOK_SECRET", ""),
		CarrierDispatchDelay: delay("CARRIER_DISPATCH_DELAY", "2s"),
		CarrierDeliveryDelay: delay("CARRIER_DELIVERY_DELAY", "2s"),
		DataDir:              text("DATA_DIR", "data"),
		OpsToken:             text("OPS_TOKEN", ""),
	}
	if cfg.CarrierWebhookURL != "" && cfg.CarrierWebhookSecret == "" {
		errs = append(errs, errors.New("CARRIER_WEBHOOK_SECRET is required with CARRIER_WEBHOOK_URL"))
	}
	return cfg, errors.Join(errs...)
}
