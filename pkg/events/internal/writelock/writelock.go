// Package writelock serializes the transactions of one process that write to a database with a single writer.
package writelock

import (
	"context"
	"sync"
	"time"
)

// timeout is how long Acquire waits. After that the caller goes on without the lock and the database decides.
const timeout = 5 * time.Second

// Lock is a first-come, first-served lock. Goroutines that wait for it continue as soon as it is free, whereas those
// that wait in SQLite poll. A nil Lock does nothing.
type Lock chan struct{}

// New returns a lock.
func New() Lock { return make(Lock, 1) }

// Acquire blocks until the lock is held, its time-out has passed or ctx ends. The function that it returns releases the
// lock; it may be called more than once.
func (l Lock) Acquire(ctx context.Context) (release func()) {
	if l == nil {
		return func() {}
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case l <- struct{}{}:
		return sync.OnceFunc(func() { <-l })
	case <-timer.C:
	case <-ctx.Done():
	}
	return func() {}
}
