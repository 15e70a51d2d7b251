package events

import (
	"context"
	"sync"
	"time"
)

// turnLimit is how long somebody queues for a turn. Then they try at the database, which decides.
const writeLockTimeout = 5 * time.Second

// turns lets those who write to a database take turns, if it has one writer at a time. Those who queue here go on at
// once and in order; those who queue at the database ask again and again. Nil lets everybody pass.
type writeLock chan struct{}

func newWriteLock(d *dialect) writeLock {
	if !d.oneWriter {
		return nil
	}
	return make(writeLock, 1)
}

// take waits for a turn. The function that it answers passes it on; it may be called again.
func (t writeLock) acquire(ctx context.Context) (done func()) {
	if t == nil {
		return func() {}
	}
	timer := time.NewTimer(writeLockTimeout)
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return sync.OnceFunc(func() { <-t })
	case <-timer.C:
	case <-ctx.Done():
	}
	return func() {}
}
