package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
	"github.com/quadrille-dev/quadrille/verify/testservers"
)

// TestMain lets the tests' own program be quadrille, so that a test can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_IS_QUADRILLE") != "" {
		main()
	}
	// A shop that runs on this machine is not the one under test.
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

func TestTopologyApply_DeclaresWhatEveryServiceNeedsAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	url := testservers.AMQP(t)
	for range 2 {
		if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-ladder", "100ms,1s"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	all, err := parseTopologies("100ms,1s")
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rabbitmq.New(url, rabbitmq.Config{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	for _, topology := range all {
		if err := transport.Check(t.Context(), topology); err != nil {
			t.Errorf("%s: %v", topology.Service, err)
		}
	}
	// Another ladder on the same broker adds rungs and leaves the queues alone.
	if _, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--retry-ladder", "100ms,2s"); err != nil {
		t.Error(err)
	}
}

func TestTopologyApply_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"which broker":           {"topology", "apply", "--amqp-url", ""},
		"soon":                   {"topology", "apply", "--amqp-url", "amqp://localhost", "--retry-ladder", "1s,soon"},
		"shorter than":           {"topology", "apply", "--amqp-url", "amqp://localhost", "--retry-ladder", "5s,1s"},
		"127.0.0.1:1":            {"topology", "apply", "--amqp-url", "amqp://127.0.0.1:1", "--wait", "10ms"},
		"unknown command":        {"toplogy"},
		"unknown flag":           {"topology", "show", "--colour"},
		"unknown command \"it\"": {"topology", "show", "it"},
	} {
		_, err := quadrille(t, args...)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("quadrille %v: %v does not say %q", args, err, says)
		}
	}
}

func TestTopologyDefinitions_AreTheFileThatTheBrokerLoads(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../deploy/rabbitmq/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	out, err := quadrille(t, "topology", "definitions")
	if diff := cmp.Diff(string(file), out); err != nil || diff != "" {
		t.Errorf("%v; make generate brings the file up to date (-file +now):\n%s", err, diff)
	}
}

func TestTopologyDefinitions_TakePasswordsFromTheEnvironmentAndHideThem(t *testing.T) {
	t.Setenv("RABBITMQ_PASSWORD_ORDER", "hunter2")
	before, err := os.ReadFile("../../deploy/rabbitmq/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	cmd := command()
	cmd.SetArgs([]string{"topology", "definitions", "--vhost", "shop"})
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
			t.Errorf("%s: a new password is %v", user.Name, changed)
		}
	}
	if is.Permissions[0].VHost != "shop" {
		t.Errorf("the permissions are for %s", is.Permissions[0].VHost)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(notes.String(), "order") || !strings.Contains(notes.String(), "payment") {
		t.Errorf("it says %q", notes.String())
	}
}

func TestTopologyApply_TrustsTheAuthorityItIsGiven(t *testing.T) {
	t.Parallel()
	authority := testservers.NewAuthority(t)
	url := authority.AMQP(t, testservers.AMQP(t))
	if out, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--amqp-ca-file", authority.File()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stranger := testservers.NewAuthority(t).File()
	for says, file := range map[string]string{"unknown authority": stranger, "no such file": stranger + ".missing"} {
		if _, err := quadrille(t, "topology", "apply", "--amqp-url", url, "--amqp-ca-file", file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

// A required event that nobody subscribes to would wait in its outbox for ever; a subscription to an event that
// nobody publishes would wait for nothing.
func TestTopology_EveryMandatoryEventHasAReaderAndEverySubscriptionAnEvent(t *testing.T) {
	t.Parallel()
	all, err := parseTopologies("")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	published := map[string]string{}
	for _, declared := range contracts.Events {
		e := declared.ETO
		published[e.EventType()] = declared.Publisher
	}
	for _, topology := range all {
		for _, q := range topology.Queues {
			read[q.Type] = true
			if published[q.Type] != q.Publisher {
				t.Errorf("%s reads %s from %s, which does not publish it", q, q.Type, q.Publisher)
			}
		}
	}
	for _, declared := range contracts.Events {
		e := declared.ETO
		if declared.Mandatory && !read[e.EventType()] {
			t.Errorf("nobody reads %s", e.EventType())
		}
	}
	out, err := quadrille(t, "topology", "show")
	if err != nil || !strings.Contains(out, "inventory.order-created.q") {
		t.Errorf("%v\n%s", err, out)
	}
}
