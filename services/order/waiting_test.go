package order

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOrder_WaitingOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps     []step
		fact      string
		from      string
		overtaken []string
	}{
		{nil, "reserved", "inventory", nil},
		{[]step{reserved}, "paid", "payment", nil},
		{[]step{reserved, processed}, "booked", "shipping", nil},
		{[]step{reserved, processed, booked}, "dispatched", "shipping", nil},
		{[]step{processed, booked}, "dispatched", "shipping", []string{"reserved"}},
		{[]step{booked, dispatched}, "delivered", "shipping", []string{"reserved", "paid"}},
		{[]step{booked, delivered}, "", "", []string{"reserved", "paid", "dispatched"}},
		{[]step{reserved, cancel}, "cancelled", "shipping", nil},
		{[]step{deadline}, "cancelled", "shipping", nil},
		{[]step{reserved, processed, undeliverable}, "cancelled", "payment", nil},
		{[]step{short}, "", "", nil},
	} {
		o, _ := run(c.steps...)
		wait, waits := o.WaitingOn()
		if wait.Fact != c.fact || wait.Service != c.from || waits != (c.fact != "") {
			t.Errorf("%v: waits for %+v, %t", names(c.steps), wait, waits)
		}
		var overtaken []string
		for _, m := range o.Overtaken() {
			overtaken = append(overtaken, m.Fact)
		}
		if diff := cmp.Diff(c.overtaken, overtaken); diff != "" {
			t.Errorf("%v: overtaken (-want +got)\n%s", names(c.steps), diff)
		}
	}
}

func TestOrder_StallsAt(t *testing.T) {
	t.Parallel()
	p := Timeouts{Services: time.Minute, Carrier: time.Hour}
	for _, c := range []struct {
		steps []step
		after time.Duration
	}{
		{nil, p.Services},
		{[]step{reserved}, p.Services},
		{[]step{reserved, processed}, p.Services}, // it waits for our own shipping
		{[]step{reserved, processed, booked}, p.Carrier},
		{[]step{booked}, p.Carrier},
		{[]step{reserved, processed, booked, dispatched}, p.Carrier},
		{[]step{reserved, processed, booked, cancel}, p.Services},
		{[]step{short}, 0},
	} {
		o, _ := run(c.steps...)
		o.WaitingSince = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		if got := o.WaitsForCarrier(); got != (c.after == p.Carrier) {
			t.Errorf("%v: waits for the carrier: %t", names(c.steps), got)
		}
		at, waits := o.StallsAt(p)
		if waits != (c.after > 0) || waits && at != o.WaitingSince.Add(c.after) {
			t.Errorf("%v: stalls at %v, %t", names(c.steps), at, waits)
		}
	}
}

// The message to a customer has what happens, why, and what becomes of the money.
func TestOrder_Message(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps []step
		words []string
	}{
		{nil, []string{"in stock"}},
		{[]step{reserved}, []string{"set aside", "payment is being made"}},
		{[]step{reserved, processed}, []string{"payment was made", "prepared"}},
		{[]step{reserved, processed, dispatched}, []string{"on its way"}},
		{[]step{reserved, processed, dispatched, delivered}, []string{"was delivered"}},
		{[]step{cancel}, []string{"You asked to cancel", "not certain yet"}},
		{[]step{deadline}, []string{"not been made in time"}},
		{[]step{reserved, processed, undeliverable}, []string{"cannot deliver", "getting your money back"}},
		{[]step{short}, []string{"not everything", "in stock", "Nothing was charged"}},
		{[]step{reserved, declined}, []string{"payment was declined", "Nothing was charged"}},
		{[]step{cancel, voidedCustomer}, []string{"as you asked", "Nothing was charged"}},
		{[]step{cancel, refundedCustomer}, []string{"as you asked", "got your money back"}},
		{[]step{deadline, voidedDeadline}, []string{"not made in time", "Nothing was charged"}},
		{[]step{deadline, processed}, []string{"payment came late"}},
		{[]step{deadline, cancel, voidedDeadline}, []string{"as you asked", "not made in time", "Nothing was charged"}},
		{[]step{voidedUnknown}, []string{"Cancelled. Nothing was charged"}},
		{[]step{reserved, processed, undeliverable, refundedAddress}, []string{"cannot deliver", "got your money back"}},
	} {
		o, _ := run(c.steps...)
		for _, word := range c.words {
			if !strings.Contains(o.Message(), word) {
				t.Errorf("%v: %q lacks %q", names(c.steps), o.Message(), word)
			}
		}
		if o.Overdue(); strings.Contains(o.Message(), "longer than it should") != o.Stalled {
			t.Errorf("%v, overdue: %q", names(c.steps), o.Message())
		}
	}
}
