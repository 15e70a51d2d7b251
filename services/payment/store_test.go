package payment

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A row that is gone under its lock is a fault of ours, and must not pass for an order that nobody knows.
func TestStore_FailsIfTheLockedRowIsGone(t *testing.T) {
	t.Parallel()
	err := storePayment(newTill(t).db, NewPayment("nobody"), time.Now())
	if err == nil || errors.Is(err, errUnknownOrder) || !strings.Contains(err.Error(), "locked row not found") {
		t.Errorf("got %v", err)
	}
}

func TestStore_TakesNoStateThatIsNotKnown(t *testing.T) {
	t.Parallel()
	tl := newTill(t)
	tl.deliver(t, reserved)
	err := storePayment(tl.db, Payment{OrderID: "o", State: "lost"}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "payments_state_known") {
		t.Errorf("got %v", err)
	}
}
