package main

import (
	"errors"
	"fmt"
	"time"
)

// Config is what the environment says.
type Config struct {
	ProcessorAddr    string // PROCESSOR_ADDR, default :8091
	ProcessorOpsAddr string // PROCESSOR_OPS_ADDR, default :8093
	ProcessorKey     string // PROCESSOR_KEY, the accepted API key, default sk_test_quadrille

	CarrierAddr          string        // CARRIER_ADDR, default :8092
	CarrierOpsAddr       string        // CARRIER_OPS_ADDR, default :8094
	CarrierWebhookURL    string        // CARRIER_WEBHOOK_URL, default none: reports wait
	CarrierWebhookSecret string        // CARRIER_WEBHOOK_SECRET, required with the URL
	CarrierHandoverDelay time.Duration // CARRIER_HANDOVER_DELAY, default 2s
	CarrierDeliveryDelay time.Duration // CARRIER_DELIVERY_DELAY, default 2s

	DataDir  string // DATA_DIR, where the books are, default data
	OpsToken string // OPS_TOKEN, default none: /ops is closed
}

// ConfigFromEnv reads the environment and reports every mistake in it at once. A variable that is empty counts as unset.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	var mistakes []error
	text := func(name, fallback string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return fallback
	}
	delay := func(name, fallback string) time.Duration {
		d, err := time.ParseDuration(text(name, fallback))
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", name, err))
		} else if d < 0 {
			mistakes = append(mistakes, fmt.Errorf("%s is negative", name))
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
		CarrierHandoverDelay: delay("CARRIER_HANDOVER_DELAY", "2s"),
		CarrierDeliveryDelay: delay("CARRIER_DELIVERY_DELAY", "2s"),
		DataDir:              text("DATA_DIR", "data"),
		OpsToken:             text("OPS_TOKEN", ""),
	}
	if cfg.CarrierWebhookURL != "" && cfg.CarrierWebhookSecret == "" {
		mistakes = append(mistakes, errors.New("CARRIER_WEBHOOK_SECRET is required with CARRIER_WEBHOOK_URL"))
	}
	return cfg, errors.Join(mistakes...)
}
