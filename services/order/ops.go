package order

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

type (
	// waitingResponse is an order in the list of waiting orders. An order that has ended has no milestone.
	waitingResponse struct {
		ID           string     `json:"id"`
		State        State      `json:"state"`
		Reason       Reason     `json:"reason,omitempty"`
		Stalled      bool       `json:"stalled"`
		*Milestone              // the fact that the order waits for
		WaitingSince *time.Time `json:"waitingSince,omitempty"`
		PlacedAt     time.Time  `json:"placedAt"`
	}
	// progressResponse is everything about the progress of one order.
	progressResponse struct {
		waitingResponse
		Observed  []observedResponse `json:"observed"`
		Overtaken []Milestone        `json:"overtaken"` // missing facts of which a later one has been observed
		History   []entryResponse    `json:"history"`
	}
	observedResponse struct {
		Fact string     `json:"fact"`
		At   *time.Time `json:"at,omitempty"`
	}
)

// opsRoutes registers the operators' endpoints about orders that do not proceed.
func (s *Service) opsRoutes(ops *gin.RouterGroup) {
	ops.GET("/orders", httpapi.Handle(s.listWaiting))
	ops.GET("/orders/:orderId", httpapi.Handle(s.getProgress))
}

// listWaiting responds with the orders that have not ended, the longest wait first; with ?stalled=true, only with stalled
// orders.
func (s *Service) listWaiting(c *gin.Context) error {
	page, err := httpapi.ParsePage(c)
	if err != nil {
		return err
	}
	f := waitingFilter{After: page.After, Limit: page.Fetch()}
	switch stalled := c.Query("stalled"); stalled {
	case "", "true":
		f.Stalled = stalled != ""
	default:
		return httpapi.BadRequest("", httpapi.FieldError{Field: "stalled", Detail: "must be true, or left out"})
	}
	orders, err := listWaiting(s.db.WithContext(c.Request.Context()), f)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, httpapi.NewList(page, orders, func(o *Order) (waitingResponse, httpapi.Cursor) {
		return newWaitingResponse(o), httpapi.Cursor{Time: o.WaitingSince, Key: o.ID}
	}))
	return nil
}

// getProgress responds with the facts that the order has observed, the missing ones, and since when it waits.
func (s *Service) getProgress(c *gin.Context) error {
	db := s.db.WithContext(c.Request.Context())
	o, err := findOrder(db, c.Param("orderId"))
	if err != nil {
		return toProblem(err)
	}
	history, err := readHistory(db, o.ID)
	if err != nil {
		return err
	}
	overtaken := o.Overtaken()
	if overtaken == nil {
		overtaken = []Milestone{}
	}
	c.JSON(http.StatusOK, progressResponse{
		waitingResponse: newWaitingResponse(o), Observed: newObservedResponses(o, history), Overtaken: overtaken,
		History: newEntryResponses(history),
	})
	return nil
}

func newWaitingResponse(o *Order) waitingResponse {
	r := waitingResponse{ID: o.ID, State: o.State(), Reason: o.Why(), Stalled: o.Stalled, PlacedAt: o.PlacedAt}
	if next, waits := o.WaitingOn(); waits {
		r.Milestone, r.WaitingSince = &next, &o.WaitingSince
	}
	return r
}

// newObservedResponses returns the facts that the order has observed, each with the time of the first entry of the
// history that reports it.
func newObservedResponses(o *Order, history []HistoryEntry) []observedResponse {
	responses := []observedResponse{}
	for _, f := range []struct {
		name     string
		observed bool
		by       []string // types of events, or descriptions
	}{
		{"reserved", o.Observed.Reserved, []string{contracts.InventoryReserved{}.EventType()}},
		{"paid", o.Observed.Paid, []string{contracts.PaymentProcessed{}.EventType(), refusedPaid}},
		{"booked", o.ShipmentID != "", []string{contracts.ShipmentCreated{}.EventType(), contracts.ShipmentDispatched{}.EventType()}},
		{"dispatched", o.Observed.Dispatched, []string{contracts.ShipmentDispatched{}.EventType(), refusedDispatched}},
		{"delivered", o.Observed.Delivered, []string{contracts.ShipmentDelivered{}.EventType()}},
		{"shipment failed", o.Observed.ShipmentFailed, []string{contracts.ShipmentFailed{}.EventType()}},
		{"customer asked to cancel", o.Observed.CustomerAsked, []string{customerAsked, customerWaits}},
		{"deadline asked to cancel", o.Observed.DeadlineAsked, []string{deadlineAsked}},
		{"cancelled", o.Observed.Cancelled, []string{contracts.OrderCancelled{}.EventType()}},
	} {
		if !f.observed {
			continue
		}
		r := observedResponse{Fact: f.name}
		i := slices.IndexFunc(history, func(e HistoryEntry) bool {
			return slices.Contains(f.by, e.EventType) || slices.Contains(f.by, e.Description)
		})
		if i >= 0 {
			at := history[i].At.UTC()
			r.At = &at
		}
		responses = append(responses, r)
	}
	return responses
}
