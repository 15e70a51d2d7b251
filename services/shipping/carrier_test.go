package shipping

import (
	"context"
	"fmt"
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

// nonsense lists responses that are not of the form of the carrier's API.
func nonsense() map[string]fault {
	return map[string]fault{
		"page":             page(200),
		"page and 404":     page(404),
		"page and 500":     page(500),
		"redirect":         redirect,
		"truncated":        respond(201, `{"id":"shp_o1","sta`),
		"empty":            respond(201, ``),
		"empty object":     respond(200, `{}`),
		"array":            respond(200, `[]`),
		"null":             respond(200, `null`),
		"number as id":     respond(201, `{"id":7,"state":"booked"}`),
		"NUL in the id":    respond(201, `{"id":"shp_\u0000","state":"booked"}`),
		"path as id":       respond(201, `{"id":"../x","state":"booked"}`),
		"long id":          respond(201, `{"id":"shp_`+strings.Repeat("x", 500)+`","state":"booked"}`),
		"long body":        respond(201, `{"id":"shp_o1","x":"`+strings.Repeat("x", 10<<20)+`"}`),
		"deep body":        respond(201, strings.Repeat(`[`, 100_000)),
		"other order":      respond(201, `{"id":"shp_2","reference":"another"}`),
		"4xx without code": respond(404, `{"message":"no Route matched with those values"}`),
		"4xx, odd code":    respond(400, `{"code":"`+strings.Repeat(`\u0000`, 5000)+`"}`),
		"422 with a text":  respond(422, `"undeliverable"`),
		"418":              respond(418, `{}`),
	}
}

func TestBook_InvalidResponseDecidesNothing(t *testing.T) {
	t.Parallel()
	for name, f := range nonsense() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeCarrier(t)
			fake.fail("book", f)
			fake.fail("cancel", f)
			client := fake.client(t)
			booked, err := client.Book(context.Background(), "o1", home, goods)
			assertBounded(t, err)
			cancelled, cancelErr := client.Cancel(context.Background(), "shp_o1")
			assertBounded(t, cancelErr)
			if booked != (BookingResult{}) || cancelled != (CancelResult{}) {
				t.Errorf("got %+v and %+v", booked, cancelled)
			}
			if n := fake.count("book") + fake.count("cancel"); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

// assertBounded checks that there is an error, and that it can be logged and stored.
func assertBounded(t *testing.T, err error) {
	t.Helper()
	if err == nil || len(err.Error()) > 1000 || strings.ContainsRune(err.Error(), 0) {
		t.Errorf("got %.200q, want a short error", fmt.Sprint(err))
	}
}

func TestCarrier_TextsAreCleaned(t *testing.T) {
	t.Parallel()
	fake := newFakeCarrier(t)
	odd := `no\u0000such\naddress\u202e` + strings.Repeat("x", 5000)
	fake.fail("book", respond(422, `{"code":"undeliverable","detail":"`+odd+`"}`))
	fake.fail("cancel", respond(409, `{"code":"dispatched","tracking":"`+odd+`"}`))
	want := "no such address " + strings.Repeat("x", maxText-16)
	if got, err := fake.client(t).Book(context.Background(), "o1", home, goods); err != nil || got.Detail != want || !got.Rejected {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := fake.client(t).Cancel(context.Background(), "shp_1"); err != nil || got.Tracking != want || !got.TooLate {
		t.Errorf("got %+v, %v", got, err)
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
		"other parcel":   respond(200, `{"id":"shp_2","state":"cancelled"}`),
		"other status":   respond(200, `{"id":"shp_1","state":"CANCELLED"}`),
		"number":         respond(409, `{"code":409,"tracking":1}`),
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
