package chassis_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

type sampleConfig struct {
	chassis.Config
	Greeting string        `env:"GREETING"`
	Patience time.Duration `env:"PATIENCE" envDefault:"3s"`
}

func (c sampleConfig) Validate() error {
	if c.Greeting == "" {
		return errors.New("GREETING is required")
	}
	return nil
}

func sampleDefaults() sampleConfig {
	return sampleConfig{Config: chassis.Config{HTTPAddr: ":8099"}}
}

var complete = []string{"DATABASE_URL=postgres://u:hunter2@db:5432/x", "AMQP_URL=amqps://u:hunter2@mq/", "GREETING=hello"}

func TestParseEnv_FillsDefaultsPresetsAndVariables(t *testing.T) {
	t.Parallel()
	cfg, err := chassis.ParseEnv(sampleDefaults(), append(complete,
		"EVENTS_AUDIT=true", "RETRY_DELAYS=1ms,2s", "LOG_LEVEL=debug", "DATABASE_MAX_CONNS=", "UNRELATED=x"))
	if err != nil {
		t.Fatal(err)
	}
	want := sampleConfig{
		Config: chassis.Config{
			HTTPAddr: ":8099", DatabaseURL: "postgres://u:hunter2@db:5432/x", DatabaseMaxConns: 20,
			AMQPURL: "amqps://u:hunter2@mq/", Audit: true, RetryDelays: []time.Duration{time.Millisecond, 2 * time.Second},
			ShutdownTimeout: 20 * time.Second, LogLevel: slog.LevelDebug, LogFormat: "json", DefaultTenant: "default",
		},
		Greeting: "hello", Patience: 3 * time.Second,
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
}

func TestParseEnv_HasTheDocumentedLadder(t *testing.T) {
	t.Parallel()
	cfg, err := chassis.ParseEnv(chassis.Config{}, complete)
	if err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	if diff := cmp.Diff(want, cfg.RetryDelays); diff != "" || cfg.Audit {
		t.Error(diff, cfg.Audit)
	}
}

func TestParseEnv_ReportsEveryMistakeOnce(t *testing.T) {
	t.Parallel()
	mistakes := []string{
		"HTTP_ADDR=8080", "DATABASE_URL=postgres//hunter2", "DATABASE_MAX_CONNS=many", "EVENTS_AUDIT=maybe",
		"RETRY_DELAYS=5s,1s", "SHUTDOWN_TIMEOUT=soon", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "DEFAULT_TENANT=a b", "PATIENCE=none",
	}
	_, err := chassis.ParseEnv(sampleDefaults(), mistakes)
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range append(mistakes, "AMQP_URL", "GREETING") {
		name, _, _ = strings.Cut(name, "=")
		if n := strings.Count(err.Error(), name); n != 1 {
			t.Errorf("%s is mentioned %d times in:\n%v", name, n, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is shown: %v", err)
	}
}

func TestParseEnv_ChecksTheOwnersURLIfThereIsOne(t *testing.T) {
	t.Parallel()
	_, err := chassis.ParseEnv(sampleDefaults(), append(complete, "MIGRATE_DATABASE_URL=mysql://hunter2"))
	if err == nil || err.Error() != "MIGRATE_DATABASE_URL must be a URL that starts with postgres://" {
		t.Errorf("got %v", err)
	}
}

func TestSecret_ShowsItselfOnlyWhenRevealed(t *testing.T) {
	t.Parallel()
	const secret = chassis.Secret("hunter2")
	cfg := chassis.Config{OpsToken: secret}
	text, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	telemetry.NewLogger(&log, slog.LevelInfo, "json").Info("x", "secret", secret)
	telemetry.NewLogger(&log, slog.LevelInfo, "text").Info("x", "secret", secret, "config", cfg)
	all := fmt.Sprintf("%s %v %+v %#v %q %x %v", secret, secret, cfg, cfg, secret, secret, &cfg) + string(text) + log.String()
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e74657232") {
		t.Errorf("the secret is shown: %s", all)
	}
	if secret.Reveal() != "hunter2" {
		t.Errorf("Reveal gives %q", secret.Reveal())
	}
}

// The table of settings in README.md has each of them, with its default.
func TestConfig_IsDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[chassis.Config]()) {
		name := f.Tag.Get("env")
		if name == "" {
			continue
		}
		row := regexp.MustCompile("(?m)^\\| `" + name + "` .*$").Find(readme)
		if row == nil || !strings.Contains(string(row), f.Tag.Get("envDefault")) {
			t.Errorf("%s with default %q is not in README.md: %s", name, f.Tag.Get("envDefault"), row)
		}
	}
}
