package chassis_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
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
	Patience time.Duration `env:"PATIENCE"`
}

func (c sampleConfig) Validate() error {
	if c.Greeting == "" {
		return errors.New("GREETING is required")
	}
	return nil
}

func sampleDefaults() sampleConfig {
	return sampleConfig{Config: chassis.Defaults(":8099"), Patience: 3 * time.Second}
}

var complete = []string{"DATABASE_URL=postgres://u:hunter2@db:5432/x", "AMQP_URL=amqps://u:hunter2@mq/", "GREETING=hello"}

func TestParseEnv_Variables(t *testing.T) {
	t.Parallel()
	cfg, err := chassis.ParseEnv(sampleDefaults(), append(complete,
		"EVENTS_AUDIT=true", "EVENTS_WORKERS=3", "RETRY_DELAYS=1ms,2s", "LOG_LEVEL=debug", "DATABASE_MAX_CONNS=", "UNRELATED=x"))
	if err != nil {
		t.Fatal(err)
	}
	want := sampleConfig{
		Config:   chassis.Defaults(":8099"),
		Greeting: "hello", Patience: 3 * time.Second,
	}
	want.DatabaseURL, want.AMQPURL, want.LogLevel = "postgres://u:hunter2@db:5432/x", "amqps://u:hunter2@mq/", slog.LevelDebug
	want.Events.Audit, want.Events.RetryDelays = true, []time.Duration{time.Millisecond, 2 * time.Second}
	want.Events.Workers = 3
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
}

func TestParseEnv_ReportsMistakes(t *testing.T) {
	t.Parallel()
	wrong := []string{
		"HTTP_ADDR=8080", "DATABASE_URL=postgres//hunter2", "DATABASE_MAX_CONNS=many", "EVENTS_AUDIT=maybe",
		"RETRY_DELAYS=5s,1s", "EVENTS_WORKERS=0", "EVENTS_LEASE_TTL=-1s", "EVENTS_INBOX_RETENTION=1h", "SHUTDOWN_TIMEOUT=soon", "SHUTDOWN_DELAY=-1s", "MAX_BODY_MEMORY=1", "TRUST_TRACE_CONTEXT=perhaps", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "DEFAULT_TENANT=a b", "PATIENCE=none",
	}
	_, err := chassis.ParseEnv(sampleDefaults(), wrong)
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range append(wrong, "AMQP_URL", "GREETING") {
		name, _, _ = strings.Cut(name, "=")
		if n := strings.Count(err.Error(), name); n != 1 {
			t.Errorf("%s is mentioned %d times in:\n%v", name, n, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is shown: %v", err)
	}
}

func TestParseEnv_MigrateDatabaseURL(t *testing.T) {
	t.Parallel()
	_, err := chassis.ParseEnv(sampleDefaults(), append(complete, "MIGRATE_DATABASE_URL=mysql://hunter2"))
	if err == nil || err.Error() != "MIGRATE_DATABASE_URL must be a URL that starts with postgres://" {
		t.Errorf("got %v", err)
	}
}

func TestSecret_IsRedacted(t *testing.T) {
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

// TestConfig_IsDocumented compares the settings with the first two tables of docs/configuration.md, both ways.
func TestConfig_IsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := strings.Split(string(page), "| variable | meaning | unit | default |\n")
	if len(tables) < 3 {
		t.Fatalf("docs/configuration.md has %d tables", len(tables)-1)
	}
	events, shared := documented(tables[1]), documented(tables[2])
	if diff := cmp.Diff(variables(reflect.TypeFor[chassis.Events]()), slices.Sorted(maps.Keys(events))); diff != "" {
		t.Errorf("variables of the event library (-code +docs)\n%s", diff)
	}
	if diff := cmp.Diff(variables(reflect.TypeFor[chassis.Config]()), slices.Sorted(maps.Keys(shared))); diff != "" {
		t.Errorf("variables of all services (-code +docs)\n%s", diff)
	}

	// An environment that sets the documented defaults has the same effect as one that does not.
	var environ []string
	maps.Copy(events, shared)
	for name, value := range events {
		if value != "" && name != "HTTP_ADDR" && name != "MIGRATE_DATABASE_URL" {
			environ = append(environ, name+"="+value)
		}
	}
	got, _ := chassis.ParseEnv(chassis.Config{HTTPAddr: ":8080"}, environ)
	if diff := cmp.Diff(chassis.Defaults(":8080"), got); diff != "" {
		t.Errorf("defaults (-code +docs)\n%s", diff)
	}
}

var documentedRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|.*\\| ([^|]*) \\|$")

// documented returns the variables of a Markdown table with their defaults, "" if there is none.
func documented(table string) map[string]string {
	table, _, _ = strings.Cut(table, "\n\n")
	defaults := map[string]string{}
	for _, row := range documentedRow.FindAllStringSubmatch(table, -1) {
		defaults[row[1]] = ""
		if value := strings.Trim(row[2], "`"); value != row[2] {
			defaults[row[1]] = value
		}
	}
	return defaults
}

// variables lists the environment variables of a configuration, without those of nested structs.
func variables(config reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(config) {
		if name := f.Tag.Get("env"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
