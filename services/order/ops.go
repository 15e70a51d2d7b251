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
	// waitingResponse is an order as a list of those that wait shows it.
	waitingResponse struct {
		ID         string          `json:"id"`
		State      State           `json:"state"`
		Reason     Reason          `json:"reason,omitempty"`
		Stalled    bool            `json:"stalled"`
		WaitingFor *waitedResponse `json:"waitingOn,omitempty"`
		PlacedAt   time.Time       `json:"placedAt"`
	}
	waitedResponse struct {
		Milestone
		Since time.Time `json:"since"`
	}
	// factsResponse is all that there is to know about one order's way.
	factsResponse struct {
		waitingResponse
		Seen      []seenResponse  `json:"observed"`
		Overtaken []Milestone     `json:"overtaken"` // not heard yet, although later facts have been
		History   []entryResponse `json:"history"`
	}
	seenResponse struct {
		Fact string     `json:"fact"`
		At   *time.Time `json:"at,omitempty"`
	}
)

// opsRoutes adds what operators ask about orders that do not go on.
func (s *Service) opsRoutes(ops *gin.RouterGroup) {
	ops.GET("/orders", httpapi.Handle(s.listWaiting))
	ops.GET("/orders/:orderId", httpapi.Handle(s.getFacts))
}

// listWaiting answers orders that have not ended, those first that have waited longest; with ?stalled=true, those only
// that have waited for too long.
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
		return waitingOf(o), httpapi.Cursor{Time: o.WaitingSince, Key: o.ID}
	}))
	return nil
}

// getFacts answers which facts the order has seen, which are missing, and since when.
func (s *Service) getFacts(c *gin.Context) error {
	db := s.db.WithContext(c.Request.Context())
	o, err := findOrder(db, c.Param("orderId"))
	if err != nil {
		return problemOf(err)
	}
	history, err := readHistory(db, o.ID)
	if err != nil {
		return err
	}
	overtaken := o.Overtaken()
	if overtaken == nil {
		overtaken = []Milestone{}
	}
	c.JSON(http.StatusOK, factsResponse{
		waitingResponse: waitingOf(o), Seen: seenOf(o, history), Overtaken: overtaken, History: historyOf(history),
	})
	return nil
}

func waitingOf(o *Order) waitingResponse {
	r := waitingResponse{ID: o.ID, State: o.State(), Reason: o.Why(), Stalled: o.Stalled, PlacedAt: o.PlacedAt}
	if wait, waits := o.WaitingOn(); waits {
		r.WaitingFor = &waitedResponse{wait, o.WaitingSince}
	}
	return r
}

// seenOf lists the facts that the order has seen, each with the time of the first line of the history that says so.
func seenOf(o *Order, history []HistoryEntry) []seenResponse {
	seen := []seenResponse{}
	for _, f := range []struct {
		name string
		seen bool
		by   []string // types of events, or words
	}{
		{"reserved", o.Observed.Reserved, []string{contracts.InventoryReserved{}.EventType()}},
		{"paid", o.Observed.Paid, []string{contracts.PaymentProcessed{}.EventType(), refusedAsPaidFor}},
		{"booked", o.ShipmentID != "", []string{contracts.ShipmentCreated{}.EventType(), contracts.ShipmentDispatched{}.EventType()}},
		{"dispatched", o.Observed.Dispatched, []string{contracts.ShipmentDispatched{}.EventType(), refusedAsLeft}},
		{"delivered", o.Observed.Delivered, []string{contracts.ShipmentDelivered{}.EventType()}},
		{"shipment failed", o.Observed.ShipmentFailed, []string{contracts.ShipmentFailed{}.EventType()}},
		{"customer asked to cancel", o.Observed.CustomerAsked, []string{customerAsked, customerNoted}},
		{"deadline asked to cancel", o.Observed.DeadlineAsked, []string{deadlineAsked}},
		{"cancelled", o.Observed.Cancelled, []string{contracts.OrderCancelled{}.EventType()}},
	} {
		if !f.seen {
			continue
		}
		r := seenResponse{Fact: f.name}
		i := slices.IndexFunc(history, func(e HistoryEntry) bool {
			return slices.Contains(f.by, e.EventType) || slices.Contains(f.by, e.Description)
		})
		if i >= 0 {
			at := history[i].At.UTC()
			r.At = &at
		}
		seen = append(seen, r)
	}
	return seen
}
