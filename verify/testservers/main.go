package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Main runs a package's tests and then deletes what they shared: templates and topologies, and the servers that were
// started. It is optional, and of use to packages that have those and run on long-lived servers:
//
//	func TestMain(m *testing.M) { testservers.Main(m) }
func Main(m *testing.M) {
	m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := finish(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
	}
}

var endings struct {
	sync.Mutex
	list []func(context.Context) error
}

// atEnd has Main call f. Without Main, f's work is left to the next run.
func atEnd(f func(context.Context) error) {
	endings.Lock()
	defer endings.Unlock()
	endings.list = append(endings.list, f)
}

func finish(ctx context.Context) error {
	endings.Lock()
	defer endings.Unlock()
	var errs []error
	for _, f := range endings.list {
		errs = append(errs, f(ctx))
	}
	endings.list = nil

	sharedServers.Lock()
	defer sharedServers.Unlock()
	for _, s := range sharedServers.list {
		s.end()
	}
	sharedServers.list = nil
	return errors.Join(errs...)
}
