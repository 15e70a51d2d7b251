package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Main runs a package's tests, and then deletes the templates and stops the servers that they shared. It is optional:
// without it, templates stay on long-lived servers until the next run on the same machine.
//
//	func TestMain(m *testing.M) { testservers.Main(m) }
func Main(m *testing.M) {
	m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	if err := runCleanups(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
	}
	stopShared()
}

var cleanups struct {
	sync.Mutex
	list []func(context.Context) error
}

// atEnd registers f to be called by Main.
func atEnd(f func(context.Context) error) {
	cleanups.Lock()
	defer cleanups.Unlock()
	cleanups.list = append(cleanups.list, f)
}

func runCleanups(ctx context.Context) error {
	cleanups.Lock()
	defer cleanups.Unlock()
	var errs []error
	for _, f := range cleanups.list {
		errs = append(errs, f(ctx))
	}
	cleanups.list = nil
	return errors.Join(errs...)
}

func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	for _, program := range shared.programs {
		program.Close()
	}
	shared.programs = nil
}
