package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stack is the running stack that all tests share. Each test uses products and customers of its own.
var stack *Stack

// long skips the test in short mode. It is for tests that take a minute or more, or that repeat a shorter one at scale.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: make test-all runs it")
	}
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run returns the exit status of the suite.
func run(m *testing.M) (code int) {
	stop, err := startStack()
	defer func() {
		stop()
		if code == 0 && stack.Logs != "" {
			_ = os.RemoveAll(stack.Logs) // needed only to analyze a failure
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if code = m.Run(); code == 0 {
		err = stack.checkAtEnd()
	} else {
		err = stack.contracts.err() // the tests have reported everything else
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// startStack sets stack to a stack whose services are ready. It must be stopped also if there is an error.
func startStack() (stop func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	start := processStack
	switch mode := os.Getenv("QUADRILLE_E2E"); mode {
	case "":
	case "compose":
		start = composeStack
	case "embedded":
		start = embeddedStack
	default:
		return func() {}, fmt.Errorf("QUADRILLE_E2E is %q: use compose, embedded, or leave it unset", mode)
	}
	if v := os.Getenv("QUADRILLE_TLS"); v != "" {
		if _, err := strconv.ParseBool(v); err != nil {
			return func() {}, fmt.Errorf("QUADRILLE_TLS is %q: use true or false", v)
		}
	}
	stopReceiving, err := receiveSpans()
	if err != nil {
		return func() {}, err
	}
	s, stopStack, err := start(ctx)
	stop = func() {
		if stopStack != nil {
			stopStack()
		}
		stopReceiving()
	}
	if err == nil {
		err = s.awaitReady(ctx)
	}
	if err == nil {
		err = s.loadContracts(ctx)
	}
	stack = s
	return stop, err
}

// checkAtEnd checks what must hold whatever the tests did.
func (s *Stack) checkAtEnd() error {
	var errs []error
	if err := s.contracts.err(); err != nil {
		errs = append(errs, fmt.Errorf("a service violated its OpenAPI document: %w", err))
	}
	if leaks := s.leaks(); len(leaks) > 0 {
		errs = append(errs, fmt.Errorf("private data was found:\n%s", strings.Join(leaks, "\n")))
	}
	if report, err := s.reconcile(); err != nil {
		errs = append(errs, fmt.Errorf("reconciliation failed: %w\n%s\n(logs: %s)", err, report, s.Logs))
	}
	if s.OutOfMemory != nil {
		if services := s.OutOfMemory(); len(services) > 0 {
			errs = append(errs, fmt.Errorf("%v exceeded their memory limits (make memory)", services))
		}
	}
	return errors.Join(errs...)
}
