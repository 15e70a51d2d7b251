package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// shop is the running shop that all tests share. Each test uses products and customers of its own.
var shop *Shop

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	start := startProcesses
	switch os.Getenv("QUADRILLE_E2E") {
	case "compose":
		start = composeShop
	case "embedded":
		start = embeddedShop
	}
	endReceiving, err := receiveSpans()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer endReceiving()
	s, stop, err := start(ctx)
	defer func() {
		if stop != nil {
			stop()
		}
		if code == 0 && s.Logs != "" {
			_ = os.RemoveAll(s.Logs) // of interest only if something went wrong
		}
	}()
	if err == nil {
		err = s.awaitReady(ctx)
	}
	if err == nil {
		err = s.readPromises(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	shop = s
	code = m.Run()
	if err := shop.promises.err(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: a service did not keep to its OpenAPI document: %v\n", err)
		code = 1
	}
	if code != 0 {
		return code
	}
	// Whatever the stories did, nobody has told what is private, and the books of everybody agree.
	if told := shop.told(); len(told) > 0 {
		fmt.Fprintf(os.Stderr, "e2e: what is private was told:\n%s\n", strings.Join(told, "\n"))
		return 1
	}
	if report, err := shop.ledger(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: the ledger is off: %v\n%s\n(logs: %s)\n", err, report, shop.Logs)
		return 1
	}
	if shop.Starved != nil {
		if services := shop.Starved(); len(services) > 0 {
			fmt.Fprintf(os.Stderr, "e2e: %v took more memory than they may (make memory)\n", services)
			return 1
		}
	}
	return 0
}
