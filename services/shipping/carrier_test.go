package shipping

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBook_SendsOrderIDAsReference(t *testing.T) {
	t.Parallel()
	fake := newFakeCarrier(t)
	got, err := fake.client(t).Book(context.Background(), "o1", home, goods)
	if want := (BookingResult{ParcelID: "shp_o1"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	sent := []string{`{"reference":"o1","address":{"name":"Ada","street":"Ball Street 1","city":"Vienna",` +
		`"postalCode":"1010","country":"AT"},"items":[{"sku":"fan","quantity":2}]}`}
	if diff := cmp.Diff(sent, fake.bodies); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestBook_DistinguishesRefusalAndFailure(t *testing.T) {
	t.Parallel()
	refused := BookingResult{Rejected: true, Detail: "no such address"}
	for name, c := range map[string]struct {
		fault fault
		want  BookingResult
		fails bool
	}{
		"undeliverable":       {respond(422, `{"code":"undeliverable","detail":"no such address"}`), refused, false},
		"another 422":         {respond(422, `{"code":"too_heavy"}`), BookingResult{}, true},
		"bad request":         {respond(400, `{"code":"invalid_request"}`), BookingResult{}, true},
		"500":                 {respond(500, `{"code":"internal"}`), BookingResult{}, true},
		"500 after all":       {func(w http.ResponseWriter, effect func()) { effect(); respond(500, `{}`)(w, nil) }, BookingResult{}, true},
		"hung up":             {disconnect, BookingResult{}, true},
		"response lost":       {loseResponse, BookingResult{}, true},
		"no id in the answer": {respond(200, `{}`), BookingResult{}, true},
		"not JSON":            {respond(200, `<html>`), BookingResult{}, true},
		"endless":             {respond(200, `{"detail":"`+strings.Repeat("x", maxResponse)+`","id":"shp_o1"}`), BookingResult{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeCarrier(t)
			fake.fail("book", c.fault)
			got, err := fake.client(t).Book(context.Background(), "o1", home, goods)
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %+v, %v, want %+v, failure %t", got, err, c.want, c.fails)
			}
			if err != nil && strings.Contains(err.Error(), "Ball Street") {
				t.Errorf("the error tells the address: %v", err)
			}
		})
	}
}

func TestCancel_ReturnsDecisionOfCarrier(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]CancelResult{
		"booked":     {Granted: true},
		"cancelled":  {Granted: true},
		"dispatched": {TooLate: true, Tracking: "QD1"},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			fake := newFakeCarrier(t)
			fake.set("shp_1", state)
			got, err := fake.client(t).Cancel(context.Background(), "shp_1")
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
	for name, f := range map[string]fault{
		"hung up":        disconnect,
		"500":            respond(500, `{}`),
		"unknown":        respond(404, `{"code":"not_found"}`),
		"other conflict": respond(409, `{"code":"locked"}`),
		"still booked":   respond(200, `{"state":"booked"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeCarrier(t)
			fake.fail("cancel", f)
			got, err := fake.client(t).Cancel(context.Background(), "shp_1")
			if err == nil || got != (CancelResult{}) {
				t.Errorf("got %+v, %v, want an error", got, err)
			}
		})
	}
}
