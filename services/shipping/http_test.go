package shipping

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
	"github.com/quadrille-dev/quadrille/verify/servicetest"
)

func TestGetShipment_ReturnsState(t *testing.T) {
	t.Parallel()
	items := []itemJSON{{SKU: "fan", Quantity: 2}}
	for name, c := range map[string]struct {
		arrive  []events.ETO
		notices []CarrierWebhookType
		want    shipmentResponse
	}{
		"only payment": {[]events.ETO{paid}, nil, shipmentResponse{State: Waiting, Items: []itemJSON{}}},
		"booked": {
			[]events.ETO{paid, order, bookingRequested},
			nil,
			shipmentResponse{State: Booked, Items: items, ShipmentID: "shp_o"},
		},
		"delivered": {
			[]events.ETO{paid, order, bookingRequested},
			[]CarrierWebhookType{WebhookDispatched, WebhookDelivered},
			shipmentResponse{State: Delivered, Items: items, ShipmentID: "shp_o", Tracking: "QD1"},
		},
		"cancelled": {
			[]events.ETO{customerCancels},
			nil,
			shipmentResponse{State: Cancelled, Items: []itemJSON{}, Reason: contracts.ReasonCustomer},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, c.arrive...)
			s.report(t, c.notices...)
			rec := s.Get(t, "/api/v1/shipments/o")
			var got shipmentResponse
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
			}
			if got.CreatedAt.IsZero() || got.UpdatedAt.Before(got.CreatedAt) || got.CreatedAt.Location() != time.UTC {
				t.Errorf("times %v, %v", got.CreatedAt, got.UpdatedAt)
			}
			c.want.OrderID = "o"
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(shipmentResponse{}, "CreatedAt", "UpdatedAt")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetShipment_UnknownIsNotFound(t *testing.T) {
	t.Parallel()
	service := newFixture(t)
	for _, id := range []string{"unknown", "%00", "%ff"} {
		rec := service.Get(t, "/api/v1/shipments/"+id)
		if rec.Code != http.StatusNotFound || rec.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %s", id, rec.Code, rec.Header().Get("Content-Type"), rec.Body)
		}
	}
}

func TestCarrierWebhook_AppliedOnceInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]CarrierWebhookType{
		"in order":        {WebhookDispatched, WebhookDelivered},
		"out of order":    {WebhookDelivered, WebhookDispatched},
		"repeated":        {WebhookDispatched, WebhookDispatched, WebhookDelivered, WebhookDelivered, WebhookDispatched},
		"delivered alone": {WebhookDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.Deliver(t, order, paid) // and the response to the booking is still under way
			s.report(t, kinds...)
			s.Deliver(t, bookingRequested)
			s.wantRow(t, Delivered)
			if n := s.carrier.count("book"); n != 0 {
				t.Errorf("booked %d times more", n)
			}
			s.WantPublished(t, bookingRequested, dispatched, delivered)
		})
	}
}

func TestCarrierWebhook_ConcurrentRepeatsApplyOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid, bookingRequested)
	both := func() { s.report(t, WebhookDispatched, WebhookDelivered) }
	servicetest.Race(both, both, both, both, both, both)
	s.wantRow(t, Delivered)
	s.WantPublished(t, bookingRequested, booked, dispatched, delivered)
}

func TestCarrierWebhook_KeepsCorrelationOfOrder(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, eto := range []events.ETO{order, paid} {
		s.Transport.Deliver(t, eto, eventstest.WithCorrelation("flow-7"), eventstest.WithTenant("acme"))
	}
	s.report(t, WebhookDispatched)
	e := s.Transport.WaitFor(t, dispatched.EventType(), "o")
	got := []string{e.CorrelationID, e.TenantID, e.CausationID}
	if diff := cmp.Diff([]string{"flow-7", "acme", "n-shipment.dispatched"}, got); diff != "" {
		t.Errorf("correlation, tenant, causation (-want +got):\n%s", diff)
	}
}

func TestCarrierWebhook_RejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order, paid, bookingRequested)
	now := time.Now()
	good := notice(WebhookDispatched, "o")
	for name, c := range map[string]struct {
		body, signature string
		status          int
		field           string
	}{
		"without a signature":   {good, "", 401, ""},
		"with another secret":   {good, sign("guess", now, good), 401, ""},
		"for another body":      {good, sign(secret, now, good+" "), 401, ""},
		"when too old":          {good, sign(secret, now.Add(-time.Hour), good), 401, ""},
		"unsigned and not JSON": {"<html>", "", 401, ""},
		"not JSON":              {"<html>", sign(secret, now, "<html>"), 400, ""},
		"of an unknown order":   {notice(WebhookDispatched, "x"), sign(secret, now, notice(WebhookDispatched, "x")), 404, ""},
		"of an unknown type":    {notice("shipment.lost", "o"), sign(secret, now, notice("shipment.lost", "o")), 400, "type"},
		"too large":             {strings.Repeat(" ", 2<<20), "t=1,v1=00", 413, ""},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, s, c.body, c.signature, c.status, c.field) })
	}
	change := func(t *testing.T, change func(fields map[string]any), field string) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(good), &fields); err != nil {
			t.Fatal(err)
		}
		change(fields)
		body, _ := json.Marshal(fields)
		wantRefused(t, s, string(body), sign(secret, now, string(body)), 400, field)
	}
	for _, field := range []string{"id", "reference", "shipmentId"} {
		t.Run("without "+field, func(t *testing.T) {
			change(t, func(fields map[string]any) { delete(fields, field) }, field)
		})
	}
	for _, field := range []string{"id", "reference", "shipmentId", "tracking"} {
		for name, bad := range map[string]string{"a NUL": "a\x00", "too much": strings.Repeat("a", 256)} {
			t.Run("with "+name+" in "+field, func(t *testing.T) {
				change(t, func(fields map[string]any) { fields[field] = bad }, field)
			})
		}
	}
	s.wantRow(t, Booked)
	s.WantPublished(t, bookingRequested, booked)
}

// Nothing has been booked yet, so the carrier is asked to retry.
func TestCarrierWebhook_BeforeBookingIsRetried(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.Deliver(t, order)
	body := notice(WebhookDispatched, "o")
	wantRefused(t, s, body, sign(secret, time.Now(), body), http.StatusNotFound, "")
	s.wantRow(t, Waiting)
	s.WantPublished(t)
}

func TestCarrierWebhook_LogsForbiddenTransition(t *testing.T) {
	t.Parallel()
	const alarm = "carrier has a parcel that must not leave"
	for id, end := range map[string]struct {
		book  fault
		state string
	}{
		"stray-cancelled": {nil, "shipment cancelled"},
		"stray-failed":    {respond(422, `{"code":"undeliverable"}`), "shipment failed"},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			created := order
			created.OrderID = id
			if end.book == nil {
				s.Deliver(t, created, contracts.OrderCancelled{OrderID: id})
			} else {
				s.carrier.fail("book", end.book)
				s.Deliver(t, created, contracts.PaymentProcessed{OrderID: id}, contracts.ShipmentBookingRequested{OrderID: id})
			}
			body := notice(WebhookDispatched, id)
			if rec := s.post(t, body, sign(secret, time.Now(), body)); rec.Code != http.StatusNoContent {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			lines := servicetest.LoggedAbout(id)
			if last := lines[max(0, len(lines)-2):]; !cmp.Equal(last, []string{end.state, alarm}) {
				t.Errorf("logged %q", lines)
			}
		})
	}
}

func wantRefused(t *testing.T, s *fixture, body, signature string, status int, field string) {
	t.Helper()
	rec := s.post(t, body, signature)
	var problem struct{ Errors []struct{ Field string } }
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || rec.Code != status {
		t.Fatalf("%d %s, want %d: %v", rec.Code, rec.Body, status, err)
	}
	if status == http.StatusUnauthorized && rec.Header().Get("WWW-Authenticate") == "" {
		t.Error("it does not ask for a signature")
	}
	var fields []string
	for _, e := range problem.Errors {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != field {
		t.Errorf("the problem names %q, want %q", got, field)
	}
}
