package carrier_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quadrille-dev/quadrille/simulators/carrier"
)

func TestBook_OneShipmentPerReference(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	first := h.book("o1")
	again, status := h.post(booking("o1", "Paris", "75001", "FR"))
	if status != http.StatusOK || again.ID != first.ID {
		t.Errorf("%d %+v", status, again)
	}
	var list shipment
	if status := h.send(http.MethodGet, "/v1/shipments?reference=o1", "", &list); status != http.StatusOK ||
		len(list.Shipments) != 1 || list.Shipments[0].ID != first.ID {
		t.Errorf("%d %+v", status, list)
	}
	if status := h.send(http.MethodGet, "/v1/shipments?reference=o2", "", &list); status != http.StatusOK || len(list.Shipments) != 0 {
		t.Errorf("%d %+v", status, list)
	}
}

func TestBook_ConcurrentRequestsBookOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	start := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	created, ids := 0, map[string]bool{}
	for range 20 {
		wg.Go(func() {
			<-start
			sh, status := h.post(booking("o1", "Berlin", "10115", "DE"))
			mu.Lock()
			defer mu.Unlock()
			ids[sh.ID] = true
			if status == http.StatusCreated {
				created++
			}
		})
	}
	close(start)
	wg.Wait()
	if created != 1 || len(ids) != 1 {
		t.Errorf("created %d, ids %v", created, ids)
	}
}

func TestBook_RejectsUndeliverableAddress(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	for reference, body := range map[string]string{
		"code":    booking("code", "Berlin", "00000", "DE"),
		"nowhere": booking("nowhere", "Nowhere", "1", "XX"),
		"ice":     booking("ice", "McMurdo", "1", "AQ"),
		"city":    booking("city", "", "10115", "DE"),
	} {
		for range 2 {
			if sh, status := h.post(body); status != http.StatusUnprocessableEntity || sh.Code != "undeliverable" || sh.Detail == "" {
				t.Errorf("%s: %d %+v", reference, status, sh)
			}
			body = booking(reference, "Berlin", "10115", "DE")
		}
	}
	if a := h.audit(); len(a.Shipments) != 0 || len(a.Rejections) != 4 {
		t.Errorf("audit: %+v", a)
	}
}

func TestBook_RejectsInvalidRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	for _, body := range []string{
		`{`, `{}`, `{"reference":"o1"}`, `{"reference":"o1","items":[{"sku":"TEA","quantity":0}]}`,
		`{"reference":"o1","items":[{"sku":"TEA","quantity":1}],"express":true}`,
	} {
		if sh, status := h.post(body); status != http.StatusBadRequest || sh.Code != "invalid_request" {
			t.Errorf("%s: %d %+v", body, status, sh)
		}
	}
	var sh shipment
	for _, path := range []string{"/v1/shipments/shp_unknown", "/v1/unknown"} {
		if status := h.send(http.MethodGet, path, "", &sh); status != http.StatusNotFound || sh.Code != "not_found" {
			t.Errorf("%s: %d %+v", path, status, sh)
		}
	}
}

func TestCancel_IsIdempotent(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	id := h.book("o1").ID
	for range 3 {
		if sh, status := h.cancel(id); status != http.StatusOK || sh.State != "cancelled" || sh.ID != id || sh.CancelledAt == nil {
			t.Errorf("%d %+v", status, sh)
		}
	}
	h.clock.advance(hour)
	later := h.book("o2")
	h.clock.advance(hour)
	waitUntil(t, "the later shipment is dispatched", func() bool { return h.get(later.ID).State == "dispatched" })
	if sh := h.get(id); sh.State != "cancelled" || sh.DispatchedAt != nil {
		t.Errorf("dispatched after it was cancelled: %+v", sh)
	}
	if _, status := h.cancel("shp_unknown"); status != http.StatusNotFound {
		t.Errorf("unknown shipment: %d", status)
	}
}

func TestCancel_RejectedAfterDispatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	id := h.book("o1").ID
	for _, state := range []string{"dispatched", "delivered"} {
		h.clock.advance(hour)
		waitUntil(t, state, func() bool { return h.get(id).State == state })
		if sh, status := h.cancel(id); status != http.StatusConflict || sh.Code != "dispatched" || sh.State != state ||
			sh.ID != id || sh.Tracking == "" || sh.DispatchedAt == nil {
			t.Errorf("%s: %d %+v", state, status, sh)
		}
	}
}

func TestCancel_RaceWithDispatchHasOneWinner(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	h := newHarness(t, r.server.URL)
	const rounds, each = 40, 4
	cancelled := map[string]bool{}
	for round := range rounds {
		ids := make([]string, each)
		for n := range ids {
			ids[n] = h.book(fmt.Sprintf("o-%d-%d", round, n)).ID
		}
		start, responded := make(chan struct{}), make(chan struct{}, each)
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, id := range ids {
			wg.Go(func() {
				<-start
				sh, status := h.cancel(id)
				responded <- struct{}{}
				mu.Lock()
				defer mu.Unlock()
				cancelled[sh.Reference] = status == http.StatusOK
				if (status == http.StatusOK) != (sh.State == "cancelled") {
					t.Errorf("%d %+v", status, sh)
				}
			})
		}
		wg.Go(func() {
			<-start
			if round%2 == 1 { // the dispatch is much faster, so it is delayed in every other round
				<-responded
			}
			h.clock.advance(hour)
		})
		close(start)
		wg.Wait()
		// The result is final.
		for _, id := range ids {
			sh, status := h.cancel(id)
			if cancelled[sh.Reference] != (status == http.StatusOK) {
				t.Errorf("the result changed: %d %+v", status, sh)
			}
		}
	}
	h.clock.advance(hour)
	a := h.audit()
	waitUntil(t, "every shipment is delivered and reported", func() bool {
		a = h.audit()
		return a.Totals["dispatched"] == 0 && a.Totals["booked"] == 0 && a.PendingWebhooks == 0
	})
	reported := map[string]int{}
	for _, w := range r.webhooks() {
		reported[w.Reference]++
	}
	for _, sh := range a.Shipments {
		if cancelled[sh.Reference] != (sh.State == "cancelled") || cancelled[sh.Reference] != (sh.DispatchedAt == nil) ||
			cancelled[sh.Reference] != (reported[sh.Reference] == 0) {
			t.Errorf("cancelled %v, webhooks %d: %+v", cancelled[sh.Reference], reported[sh.Reference], sh)
		}
	}
	if len(a.Shipments) != rounds*each {
		t.Errorf("%d shipments", len(a.Shipments))
	}
	t.Logf("totals %v", a.Totals)
}

func TestWebhook_ReportsDispatchAndDelivery(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	h := newHarness(t, r.server.URL)
	booked := h.book("o1")
	h.clock.advance(hour)
	waitUntil(t, "dispatched", func() bool { return len(r.webhooks()) == 1 })
	h.clock.advance(hour)
	waitUntil(t, "delivered", func() bool { return len(r.webhooks()) == 2 })
	sh := h.get(booked.ID)
	want := []webhook{
		{Type: "shipment.dispatched", Reference: "o1", ShipmentID: sh.ID, Tracking: sh.Tracking, OccurredAt: *sh.DispatchedAt},
		{Type: "shipment.delivered", Reference: "o1", ShipmentID: sh.ID, Tracking: sh.Tracking, OccurredAt: *sh.DeliveredAt},
	}
	got := r.webhooks()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(webhook{}, "ID")); diff != "" {
		t.Error(diff)
	}
	if sh.Tracking == "" || got[0].ID == "" || got[0].ID == got[1].ID {
		t.Errorf("tracking %q, webhooks %+v", sh.Tracking, got)
	}
}

func TestWebhook_RetriesWithCappedBackoff(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 9)
	h := newHarness(t, r.server.URL)
	h.book("o1")
	h.clock.advance(hour) // from now on the clock also waits for the delivery
	var waited []time.Duration
	for n := range 9 {
		waitUntil(t, "the next rejection", func() bool { return r.rejections() == n+1 && len(h.clock.waits()) == 2 })
		backoff := h.clock.waits()[0]
		waited = append(waited, backoff)
		h.clock.advance(backoff)
	}
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms, 5000 * ms}
	if diff := cmp.Diff(want, waited); diff != "" {
		t.Error(diff)
	}
	waitUntil(t, "acknowledged", func() bool { return h.audit().PendingWebhooks == 0 })
	if got := r.webhooks(); len(got) != 1 || got[0].Type != "shipment.dispatched" {
		t.Errorf("%+v", got)
	}
}

func TestNew_RestoresState(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 1<<30)
	h := newHarness(t, r.server.URL)
	dispatched, cancelled := h.book("dispatched"), h.book("cancelled")
	h.cancel(cancelled.ID)
	h.post(booking("rejected", "Nowhere", "1", "XX"))
	h.clock.advance(hour)
	waitUntil(t, "a webhook is rejected", func() bool { return r.rejections() > 0 })
	booked := h.book("booked")
	before := h.audit()
	h.close()

	restored := newReceiver(t, 0)
	h.cfg.WebhookURL = restored.server.URL
	h = open(t, h.cfg)
	waitUntil(t, "the webhook is sent again", func() bool { return len(restored.webhooks()) == 1 })
	waitUntil(t, "the webhook is acknowledged", func() bool { return h.audit().PendingWebhooks == 0 })
	after := h.audit()
	if before.PendingWebhooks != 1 {
		t.Errorf("%d webhooks were pending", before.PendingWebhooks)
	}
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(snapshot{}, "PendingWebhooks")); diff != "" {
		t.Error(diff)
	}
	h.clock.advance(hour)
	waitUntil(t, "transitions continue", func() bool {
		return h.get(dispatched.ID).State == "delivered" && h.get(booked.ID).State == "dispatched"
	})
	if got := h.get(cancelled.ID).State; got != "cancelled" {
		t.Errorf("cancelled: %s", got)
	}
	h.close()
	h = open(t, h.cfg)
	waitUntil(t, "no webhook is pending", func() bool { return h.audit().PendingWebhooks == 0 })
}

func TestNew_RejectsInvalidConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]carrier.Config{
		"no folder":      {},
		"negative delay": {Dir: t.TempDir(), DispatchDelay: -1},
		"no secret":      {Dir: t.TempDir(), WebhookURL: "http://localhost"},
	} {
		if _, err := carrier.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFault_LostResponseOfBooking(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	h.inject(`{"match":{"operation":"book","reference":"o1"},"action":"drop","when":"after","times":1}`)
	if sh, status := h.post(booking("o1", "Berlin", "10115", "DE")); status != 0 {
		t.Fatalf("got a response: %d %+v", status, sh)
	}
	if sh, status := h.post(booking("o1", "Berlin", "10115", "DE")); status != http.StatusOK || sh.State != "booked" {
		t.Errorf("%d %+v", status, sh)
	}
}

func TestFault_Nonsense(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]int{"before": 0, "after": 1} {
		h := newHarness(t, "")
		h.inject(fmt.Sprintf(`{"match":{"operation":"book"},"action":"nonsense","when":%q,"times":1}`, when))
		reply, err := http.Post(h.url+"/v1/shipments", "application/json", strings.NewReader(booking("o1", "Berlin", "10115", "DE")))
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if kind := reply.Header.Get("Content-Type"); reply.StatusCode != http.StatusOK || kind != "text/html" {
			t.Errorf("%s: status %d, %s", when, reply.StatusCode, kind)
		}
		if got := len(h.audit().Shipments); got != want {
			t.Errorf("%s: %d shipments", when, got)
		}
	}
}

func TestFault_ErrorsBeforeAndAfterEffect(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]struct{ status, shipments int }{
		"unavailable":    {http.StatusServiceUnavailable, 0},
		"error500":       {http.StatusInternalServerError, 0},
		"error500_after": {http.StatusInternalServerError, 1},
	} {
		h := newHarness(t, "")
		h.inject(fmt.Sprintf(`{"match":{"operation":"book"},"action":%q,"times":1}`, action))
		if _, status := h.post(booking("o1", "Berlin", "10115", "DE")); status != want.status {
			t.Errorf("%s: %d", action, status)
		}
		if got := len(h.audit().Shipments); got != want.shipments {
			t.Errorf("%s: %d shipments", action, got)
		}
	}
}

func TestFault_WebhookPausedAndDropped(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	h := newHarness(t, r.server.URL)
	h.inject(`{"match":{"operation":"webhook_dispatched","reference":"o1"},"action":"pause"}`)
	h.book("o1")
	h.clock.advance(hour)
	waitUntil(t, "the webhook is paused", func() bool { return h.fired() == 1 })
	h.clock.advance(hour)
	waitUntil(t, "the webhook of the delivery comes first", func() bool { return len(r.webhooks()) == 1 })
	if got := r.webhooks()[0].Type; got != "shipment.delivered" {
		t.Errorf("the first webhook is %s", got)
	}
	var ignored any
	h.send(http.MethodPut, "/ops/faults", `{"faults":[{"match":{"operation":"webhook_dispatched"},"action":"drop","when":"after","times":1}]}`, &ignored)
	waitUntil(t, "sent, and its response ignored", func() bool { return h.fired() == 1 && len(r.webhooks()) == 2 && len(h.clock.waits()) == 1 })
	h.clock.advance(hour)
	waitUntil(t, "sent again", func() bool { return len(r.webhooks()) == 3 })
	if got := r.webhooks(); got[1] != got[2] || got[1].Type != "shipment.dispatched" {
		t.Errorf("%+v", got)
	}
}

func TestFault_PausesTransitionOfOneShipment(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "")
	h.inject(`{"match":{"operation":"dispatch","reference":"o1"},"action":"pause"}`)
	paused, other := h.book("o1"), h.book("o2")
	h.clock.advance(hour)
	waitUntil(t, "the other shipment is dispatched", func() bool { return h.get(other.ID).State == "dispatched" })
	if h.fired() != 1 || h.get(paused.ID).State != "booked" {
		t.Errorf("paused %d times, state %s", h.fired(), h.get(paused.ID).State)
	}
	h.clock.advance(hour)
	waitUntil(t, "the other shipment is delivered", func() bool { return h.get(other.ID).State == "delivered" })
	if sh, status := h.cancel(paused.ID); status != http.StatusOK || sh.State != "cancelled" {
		t.Errorf("cannot cancel a paused shipment: %d %+v", status, sh)
	}

	late := h.book("o3")
	var ignored any
	h.send(http.MethodPut, "/ops/faults", `{"faults":[{"match":{"operation":"deliver"},"action":"pause"}]}`, &ignored)
	h.clock.advance(hour)
	waitUntil(t, "it is dispatched", func() bool { return h.get(late.ID).State == "dispatched" })
	h.clock.advance(hour)
	waitUntil(t, "the delivery is paused", func() bool { return h.fired() == 1 })
	if got := h.get(late.ID).State; got != "dispatched" {
		t.Errorf("state %s while the delivery is paused", got)
	}
	h.send(http.MethodDelete, "/ops/faults", "", &ignored)
	waitUntil(t, "it is delivered after the fault is removed", func() bool { return h.get(late.ID).State == "delivered" })
}
