package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/services/topology"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// TestMain makes the test program quadrille itself if a test starts it so.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_IS_QUADRILLE") != "" {
		main()
	}
	// The settings of a stack on this machine must not affect the tests.
	for _, name := range []string{"AMQP_URL", "AMQP_CA_FILE", "BROKER_OPS_URL", "OPS_TOKEN", "RETRY_DELAYS"} {
		os.Unsetenv(name)
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "RABBITMQ_PASSWORD_") {
			os.Unsetenv(name)
		}
	}
	testservers.Main(m)
}

func quadrille(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTopologyApply(t *testing.T) {
	t.Parallel()
	url := testservers.AMQP(t)
	for range 2 {
		if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-delays", "100ms,1s"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	all, err := topology.All([]time.Duration{100 * time.Millisecond, time.Second})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rabbitmq.New(url, rabbitmq.Config{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	for _, service := range all {
		if err := transport.Check(t.Context(), service); err != nil {
			t.Errorf("%s: %v", service.Service, err)
		}
	}
	// Other retry delays on the same broker add retry queues, and do not change the handlers' queues.
	if _, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-delays", "100ms,2s"); err != nil {
		t.Error(err)
	}
}

func TestTopologyApply_Errors(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"missing broker":         {"topology", "apply", "--amqp-url", ""},
		"soon":                   {"topology", "apply", "--amqp-url", "amqp://localhost", "--retry-delays", "1s,soon"},
		"shorter than":           {"topology", "apply", "--amqp-url", "amqp://localhost", "--retry-delays", "5s,1s"},
		"127.0.0.1:1":            {"topology", "apply", "--amqp-url", "amqp://127.0.0.1:1", "--wait", "10ms"},
		"unknown command":        {"toplogy"},
		"unknown flag":           {"topology", "show", "--colour"},
		"unknown command \"it\"": {"topology", "show", "it"},
	} {
		_, err := quadrille(t, args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("quadrille %v: %v does not contain %q", args, err, want)
		}
	}
}

func TestTopologyDefinitions_FileIsUpToDate(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../deploy/rabbitmq/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	out, err := quadrille(t, "topology", "definitions")
	if diff := cmp.Diff(string(file), out); err != nil || diff != "" {
		t.Errorf("%v; run make generate (-file +current):\n%s", err, diff)
	}
}

func TestTopologyDefinitions_Passwords(t *testing.T) {
	t.Setenv("RABBITMQ_PASSWORD_ORDER", "hunter2")
	before, err := os.ReadFile("../../deploy/rabbitmq/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	cmd := command()
	cmd.SetArgs([]string{"topology", "definitions", "--vhost", "stack"})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	type definitions struct {
		Users []struct {
			Name string
			Hash string `json:"password_hash"`
		}
		Permissions []struct{ VHost string }
	}
	var was, is definitions
	if err := errors.Join(json.Unmarshal(before, &was), json.Unmarshal(out.Bytes(), &is)); err != nil {
		t.Fatal(err)
	}
	for i, user := range is.Users {
		if changed := user.Hash != was.Users[i].Hash; changed != (user.Name == "order") {
			t.Errorf("%s: password changed: %v", user.Name, changed)
		}
	}
	if is.Permissions[0].VHost != "stack" {
		t.Errorf("the permissions are for %s", is.Permissions[0].VHost)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(notes.String(), "order") || !strings.Contains(notes.String(), "payment") {
		t.Errorf("notes: %q", notes.String())
	}
}

func TestTopologyApply_CAFile(t *testing.T) {
	t.Parallel()
	authority := testservers.NewAuthority(t)
	url := authority.AMQP(t, testservers.AMQP(t))
	if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--amqp-ca-file", authority.File()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stranger := testservers.NewAuthority(t).File()
	for want, file := range map[string]string{"unknown authority": stranger, "no such file": stranger + ".missing"} {
		if _, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--amqp-ca-file", file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
}

// A mandatory event without a subscription would stay in its outbox. A subscription to an event that is not published would
// wait forever.
func TestTopology_EventsAndSubscriptionsMatch(t *testing.T) {
	t.Parallel()
	all, err := topology.All(nil)
	if err != nil {
		t.Fatal(err)
	}
	subscribed := map[string]bool{}
	published := map[string]string{}
	for _, declared := range contracts.Events {
		e := declared.ETO
		published[e.EventType()] = declared.Publisher
	}
	for _, service := range all {
		for _, q := range service.Queues {
			subscribed[q.Type] = true
			if published[q.Type] != q.Publisher {
				t.Errorf("%s subscribes to %s of %s, which does not publish it", q, q.Type, q.Publisher)
			}
		}
	}
	for _, declared := range contracts.Events {
		e := declared.ETO
		if declared.Mandatory && !subscribed[e.EventType()] {
			t.Errorf("%s has no subscription", e.EventType())
		}
	}
	out, err := quadrille(t, "topology", "show")
	if err != nil || !strings.Contains(out, "inventory.order-created.q") {
		t.Errorf("%v\n%s", err, out)
	}
}
