package payment

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A row that disappears under its lock is an internal error, and must not look like an unknown order.
func TestStore_MissingLockedRowIsError(t *testing.T) {
	t.Parallel()
	err := storePayment(newFixture(t).DB, NewPayment("unknown"), time.Now())
	if err == nil || errors.Is(err, errUnknownOrder) || !strings.Contains(err.Error(), "locked row not found") {
		t.Errorf("got %v", err)
	}
}

func TestStore_RejectsUnknownState(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, reserved)
	err := storePayment(s.DB, Payment{OrderID: "o", State: "lost"}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "payments_state_known") {
		t.Errorf("got %v", err)
	}
}
