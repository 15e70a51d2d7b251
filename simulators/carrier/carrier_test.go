package carrier_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quadrille-dev/quadrille/simulators/carrier"
)

func TestBook_OneShipmentForEachReference(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	first := d.book("o1")
	again, status := d.post(booking("o1", "Paris", "75001", "FR"))
	if status != http.StatusOK || again.ID != first.ID {
		t.Errorf("%d %+v", status, again)
	}
	var list shipment
	if status := d.ask(http.MethodGet, "/v1/shipments?reference=o1", "", &list); status != http.StatusOK ||
		len(list.Shipments) != 1 || list.Shipments[0].ID != first.ID {
		t.Errorf("%d %+v", status, list)
	}
	if status := d.ask(http.MethodGet, "/v1/shipments?reference=o2", "", &list); status != http.StatusOK || len(list.Shipments) != 0 {
		t.Errorf("%d %+v", status, list)
	}
}

func TestBook_ManyAtOnceMakeOneShipment(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	start := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, ids := 0, map[string]bool{}
	for range 20 {
		wg.Go(func() {
			<-start
			sh, status := d.post(booking("o1", "Berlin", "10115", "DE"))
			mu.Lock()
			defer mu.Unlock()
			ids[sh.ID] = true
			if status == http.StatusCreated {
				made++
			}
		})
	}
	close(start)
	wg.Wait()
	if made != 1 || len(ids) != 1 {
		t.Errorf("made %d, ids %v", made, ids)
	}
}

func TestBook_RefusesUndeliverableAddressesForGood(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	for reference, body := range map[string]string{
		"code":    booking("code", "Berlin", "00000", "DE"),
		"nowhere": booking("nowhere", "Nowhere", "1", "XX"),
		"ice":     booking("ice", "McMurdo", "1", "AQ"),
		"city":    booking("city", "", "10115", "DE"),
	} {
		for range 2 {
			if sh, status := d.post(body); status != http.StatusUnprocessableEntity || sh.Code != "undeliverable" || sh.Detail == "" {
				t.Errorf("%s: %d %+v", reference, status, sh)
			}
			body = booking(reference, "Berlin", "10115", "DE")
		}
	}
	if b := d.books(); len(b.Shipments) != 0 || len(b.Refusals) != 4 {
		t.Errorf("books: %+v", b)
	}
}

func TestBook_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	for _, body := range []string{
		`{`, `{}`, `{"reference":"o1"}`, `{"reference":"o1","items":[{"sku":"TEA","quantity":0}]}`,
		`{"reference":"o1","items":[{"sku":"TEA","quantity":1}],"express":true}`,
	} {
		if sh, status := d.post(body); status != http.StatusBadRequest || sh.Code != "invalid_request" {
			t.Errorf("%s: %d %+v", body, status, sh)
		}
	}
	var sh shipment
	for _, path := range []string{"/v1/shipments/shp_unheard_of", "/v1/tea"} {
		if status := d.ask(http.MethodGet, path, "", &sh); status != http.StatusNotFound || sh.Code != "not_found" {
			t.Errorf("%s: %d %+v", path, status, sh)
		}
	}
}

func TestCancel_AnswersCancelledAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	id := d.book("o1").ID
	for range 3 {
		if sh, status := d.cancel(id); status != http.StatusOK || sh.State != "cancelled" || sh.ID != id || sh.CancelledAt == nil {
			t.Errorf("%d %+v", status, sh)
		}
	}
	d.clock.advance(hour)
	later := d.book("o2")
	d.clock.advance(hour)
	wait(t, "the later one is handed over", func() bool { return d.get(later.ID).State == "dispatched" })
	if sh := d.get(id); sh.State != "cancelled" || sh.DispatchedAt != nil {
		t.Errorf("handed over all the same: %+v", sh)
	}
	if _, status := d.cancel("shp_unheard_of"); status != http.StatusNotFound {
		t.Errorf("unheard of: %d", status)
	}
}

func TestCancel_RefusesWhatWasHandedOver(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	id := d.book("o1").ID
	for _, state := range []string{"dispatched", "delivered"} {
		d.clock.advance(hour)
		wait(t, state, func() bool { return d.get(id).State == state })
		if sh, status := d.cancel(id); status != http.StatusConflict || sh.Code != "dispatched" || sh.State != state ||
			sh.ID != id || sh.Tracking == "" || sh.DispatchedAt == nil {
			t.Errorf("%s: %d %+v", state, status, sh)
		}
	}
}

func TestCancel_AgainstHandOverExactlyOneWins(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	d := newDepot(t, r.server.URL)
	const rounds, each = 40, 4
	cancelled := map[string]bool{}
	for round := range rounds {
		ids := make([]string, each)
		for n := range ids {
			ids[n] = d.book(fmt.Sprintf("o-%d-%d", round, n)).ID
		}
		start, answered := make(chan struct{}), make(chan struct{}, each)
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, id := range ids {
			wg.Go(func() {
				<-start
				sh, status := d.cancel(id)
				answered <- struct{}{}
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
			if round%2 == 1 { // the hand-over is much the faster one: in every other round it comes late
				<-answered
			}
			d.clock.advance(hour)
		})
		close(start)
		wg.Wait()
		// And the other way round: whoever won stays the winner.
		for _, id := range ids {
			sh, status := d.cancel(id)
			if cancelled[sh.Reference] != (status == http.StatusOK) {
				t.Errorf("the winner changed: %d %+v", status, sh)
			}
		}
	}
	d.clock.advance(hour)
	b := d.books()
	wait(t, "all is delivered and reported", func() bool {
		b = d.books()
		return b.Totals["dispatched"] == 0 && b.Totals["booked"] == 0 && b.PendingNotices == 0
	})
	reported := map[string]int{}
	for _, n := range r.notices() {
		reported[n.Reference]++
	}
	for _, sh := range b.Shipments {
		if cancelled[sh.Reference] != (sh.State == "cancelled") || cancelled[sh.Reference] != (sh.DispatchedAt == nil) ||
			cancelled[sh.Reference] != (reported[sh.Reference] == 0) {
			t.Errorf("cancel answered %v, reports %d: %+v", cancelled[sh.Reference], reported[sh.Reference], sh)
		}
	}
	if len(b.Shipments) != rounds*each {
		t.Errorf("%d shipments", len(b.Shipments))
	}
	t.Logf("totals %v", b.Totals)
}

func TestWebhook_ReportsHandOverAndDelivery(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	d := newDepot(t, r.server.URL)
	booked := d.book("o1")
	d.clock.advance(hour)
	wait(t, "handed over", func() bool { return len(r.notices()) == 1 })
	d.clock.advance(hour)
	wait(t, "delivered", func() bool { return len(r.notices()) == 2 })
	sh := d.get(booked.ID)
	want := []notice{
		{Type: "shipment.dispatched", Reference: "o1", ShipmentID: sh.ID, Tracking: sh.Tracking, OccurredAt: *sh.DispatchedAt},
		{Type: "shipment.delivered", Reference: "o1", ShipmentID: sh.ID, Tracking: sh.Tracking, OccurredAt: *sh.DeliveredAt},
	}
	got := r.notices()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(notice{}, "ID")); diff != "" {
		t.Error(diff)
	}
	if sh.Tracking == "" || got[0].ID == "" || got[0].ID == got[1].ID {
		t.Errorf("tracking %q, notices %+v", sh.Tracking, got)
	}
}

func TestWebhook_RepeatsWithCappedBackoffUntilItIsTaken(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 9)
	d := newDepot(t, r.server.URL)
	d.book("o1")
	d.clock.advance(hour) // and now the clock waits for the delivery, too
	var waited []time.Duration
	for n := range 9 {
		wait(t, "the next refusal", func() bool { return r.refusals() == n+1 && len(d.clock.waits()) == 2 })
		backoff := d.clock.waits()[0]
		waited = append(waited, backoff)
		d.clock.advance(backoff)
	}
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms, 5000 * ms}
	if diff := cmp.Diff(want, waited); diff != "" {
		t.Error(diff)
	}
	wait(t, "taken", func() bool { return d.books().PendingNotices == 0 })
	if got := r.notices(); len(got) != 1 || got[0].Type != "shipment.dispatched" {
		t.Errorf("%+v", got)
	}
}

func TestNew_GoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 1<<30)
	d := newDepot(t, r.server.URL)
	moved, cancelled := d.book("moved"), d.book("cancelled")
	d.cancel(cancelled.ID)
	d.post(booking("refused", "Nowhere", "1", "XX"))
	d.clock.advance(hour)
	wait(t, "a report is refused", func() bool { return r.refusals() > 0 })
	waiting := d.book("waiting")
	before := d.books()
	d.close()

	back := newReceiver(t, 0)
	d.cfg.WebhookURL = back.server.URL
	d = open(t, d.cfg)
	wait(t, "the report is made after all", func() bool { return len(back.notices()) == 1 })
	wait(t, "the report is struck off", func() bool { return d.books().PendingNotices == 0 })
	after := d.books()
	if before.PendingNotices != 1 {
		t.Errorf("%d reports were waiting", before.PendingNotices)
	}
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(books{}, "PendingNotices")); diff != "" {
		t.Error(diff)
	}
	d.clock.advance(hour)
	wait(t, "both moved on", func() bool {
		return d.get(moved.ID).State == "delivered" && d.get(waiting.ID).State == "dispatched"
	})
	if got := d.get(cancelled.ID).State; got != "cancelled" {
		t.Errorf("cancelled: %s", got)
	}
	d.close()
	d = open(t, d.cfg)
	wait(t, "nothing is left to report", func() bool { return d.books().PendingNotices == 0 })
}

func TestNew_RefusesAConfigurationThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]carrier.Config{
		"no folder":      {},
		"negative delay": {Dir: t.TempDir(), HandoverDelay: -1},
		"no secret":      {Dir: t.TempDir(), WebhookURL: "http://localhost"},
	} {
		if _, err := carrier.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSwitch_LostBookingIsFoundAgain(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	d.switchOn(`{"match":{"operation":"book","reference":"o1"},"action":"refuse","when":"after","times":1}`)
	if sh, status := d.post(booking("o1", "Berlin", "10115", "DE")); status != 0 {
		t.Fatalf("answered: %d %+v", status, sh)
	}
	if sh, status := d.post(booking("o1", "Berlin", "10115", "DE")); status != http.StatusOK || sh.State != "booked" {
		t.Errorf("%d %+v", status, sh)
	}
}

func TestSwitch_ErrorsWithAndWithoutEffect(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]struct{ status, shipments int }{
		"unavailable":    {http.StatusServiceUnavailable, 0},
		"error500":       {http.StatusInternalServerError, 0},
		"error500_after": {http.StatusInternalServerError, 1},
	} {
		d := newDepot(t, "")
		d.switchOn(fmt.Sprintf(`{"match":{"operation":"book"},"action":%q,"times":1}`, action))
		if _, status := d.post(booking("o1", "Berlin", "10115", "DE")); status != want.status {
			t.Errorf("%s: %d", action, status)
		}
		if got := len(d.books().Shipments); got != want.shipments {
			t.Errorf("%s: %d shipments", action, got)
		}
	}
}

func TestSwitch_ReportIsHeldLostAndRepeated(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 0)
	d := newDepot(t, r.server.URL)
	d.switchOn(`{"match":{"operation":"webhook_dispatched","reference":"o1"},"action":"hold"}`)
	d.book("o1")
	d.clock.advance(hour)
	wait(t, "the report is held", func() bool { return d.fired() == 1 })
	d.clock.advance(hour)
	wait(t, "the delivery is reported first", func() bool { return len(r.notices()) == 1 })
	if got := r.notices()[0].Type; got != "shipment.delivered" {
		t.Errorf("first came %s", got)
	}
	var ignored any
	d.ask(http.MethodPut, "/ops/switches", `{"rules":[{"match":{"operation":"webhook_dispatched"},"action":"refuse","when":"after","times":1}]}`, &ignored)
	wait(t, "sent, its answer ignored", func() bool { return d.fired() == 1 && len(r.notices()) == 2 && len(d.clock.waits()) == 1 })
	d.clock.advance(hour)
	wait(t, "sent again", func() bool { return len(r.notices()) == 3 })
	if got := r.notices(); got[1] != got[2] || got[1].Type != "shipment.dispatched" {
		t.Errorf("%+v", got)
	}
}

func TestSwitch_ParcelStaysWhereItIsWhileOthersMove(t *testing.T) {
	t.Parallel()
	d := newDepot(t, "")
	d.switchOn(`{"match":{"operation":"hand_over","reference":"o1"},"action":"hold"}`)
	held, moves := d.book("o1"), d.book("o2")
	d.clock.advance(hour)
	wait(t, "the other is handed over", func() bool { return d.get(moves.ID).State == "dispatched" })
	if d.fired() != 1 || d.get(held.ID).State != "booked" {
		t.Errorf("held %d times, and %s", d.fired(), d.get(held.ID).State)
	}
	d.clock.advance(hour)
	wait(t, "the other is delivered", func() bool { return d.get(moves.ID).State == "delivered" })
	if sh, status := d.cancel(held.ID); status != http.StatusOK || sh.State != "cancelled" {
		t.Errorf("what is held can be cancelled: %d %+v", status, sh)
	}

	late := d.book("o3")
	var ignored any
	d.ask(http.MethodPut, "/ops/switches", `{"rules":[{"match":{"operation":"deliver"},"action":"hold"}]}`, &ignored)
	d.clock.advance(hour)
	wait(t, "it is handed over", func() bool { return d.get(late.ID).State == "dispatched" })
	d.clock.advance(hour)
	wait(t, "the delivery is held", func() bool { return d.fired() == 1 })
	if got := d.get(late.ID).State; got != "dispatched" {
		t.Errorf("held before the delivery, and %s", got)
	}
	d.ask(http.MethodDelete, "/ops/switches", "", &ignored)
	wait(t, "let go, it is delivered", func() bool { return d.get(late.ID).State == "delivered" })
}
