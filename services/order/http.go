package order

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes registers the service's endpoints: below /api/v1 for customers, below /ops for operators.
func (s *Service) Routes(r *httpapi.Router) {
	api := r.API
	api.POST("/orders", httpapi.Handle(s.postOrder))
	api.GET("/orders", httpapi.Handle(s.listOrders))
	api.GET("/orders/:orderId", httpapi.Handle(s.getOrder))
	api.POST("/orders/:orderId/cancel", httpapi.Handle(s.cancelOrder))
	s.opsRoutes(r.Ops)
}

type (
	orderResponse struct {
		ID              string            `json:"id"`
		CustomerID      string            `json:"customerId"`
		State           State             `json:"state"`
		Reason          Reason            `json:"reason,omitempty"`
		Message         string            `json:"message"` // what is happening, and why
		Items           []Item            `json:"items"`
		Total           Money             `json:"total"`
		ShippingAddress Address           `json:"shippingAddress"`
		Payment         *paymentResponse  `json:"payment,omitempty"`
		Shipment        *shipmentResponse `json:"shipment,omitempty"`
		PlacedAt        time.Time         `json:"placedAt"`
		History         []entryResponse   `json:"history,omitempty"`
	}
	paymentResponse struct {
		ID          string `json:"id,omitempty"`
		DeclineCode string `json:"declineCode,omitempty"`
	}
	shipmentResponse struct {
		ID       string `json:"id"`
		Tracking string `json:"tracking,omitempty"`
	}
	entryResponse struct {
		At          time.Time `json:"at"`
		Event       string    `json:"event,omitempty"`
		Description string    `json:"description"`
	}
)

func newOrderResponse(o *Order, history []HistoryEntry) orderResponse {
	r := orderResponse{
		ID: o.ID, CustomerID: o.CustomerID, State: o.State(), Reason: o.Why(), Message: o.Message(), Items: o.Items, Total: o.Total,
		ShippingAddress: o.ShipTo, PlacedAt: o.PlacedAt, History: newEntryResponses(history),
	}
	if o.PaymentID != "" || o.DeclineCode != "" {
		r.Payment = &paymentResponse{ID: o.PaymentID, DeclineCode: o.DeclineCode}
	}
	if o.ShipmentID != "" {
		r.Shipment = &shipmentResponse{ID: o.ShipmentID, Tracking: o.Tracking}
	}
	return r
}

func newEntryResponses(history []HistoryEntry) []entryResponse {
	var entries []entryResponse
	for _, e := range history {
		entries = append(entries, entryResponse{At: e.At.UTC(), Event: e.EventType, Description: e.Description})
	}
	return entries
}

// postOrder responds 202: the order is accepted, and the other services decide about it.
func (s *Service) postOrder(c *gin.Context) error {
	var req placeRequest
	if err := httpapi.DecodeJSON(c, &req); err != nil {
		return err
	}
	incomplete := s.catalogue.check(s.db.WithContext(c.Request.Context()))
	once := httpapi.IdempotencyOptions{Required: true}
	return httpapi.Idempotent(c, s.db, once, func(ctx context.Context, tx *gorm.DB) (httpapi.Reply, error) {
		o, err := s.place(ctx, tx, req, incomplete)
		if err != nil {
			return httpapi.Reply{}, err
		}
		history, err := readHistory(tx, o.ID)
		if err != nil {
			return httpapi.Reply{}, err
		}
		return httpapi.Reply{
			Status: http.StatusAccepted, Location: "/api/v1/orders/" + o.ID, Body: newOrderResponse(o, history),
		}, nil
	})
}

func (s *Service) getOrder(c *gin.Context) error {
	o, err := findOrder(s.db.WithContext(c.Request.Context()), c.Param("orderId"))
	if err != nil {
		return toProblem(err)
	}
	return s.respond(c, http.StatusOK, o)
}

// cancelOrder responds 202 if the cancellation is requested, now or before, and still to be decided; 200 if the order is
// cancelled already; and 409 if it is too late.
func (s *Service) cancelOrder(c *gin.Context) error {
	o, err := s.cancel(c.Request.Context(), c.Param("orderId"))
	if err != nil {
		return toProblem(err)
	}
	status := http.StatusAccepted
	if o.State() == Cancelled {
		status = http.StatusOK
	}
	return s.respond(c, status, o)
}

// listOrders responds with the newest orders first.
func (s *Service) listOrders(c *gin.Context) error {
	page, err := httpapi.ParsePage(c)
	if err != nil {
		return err
	}
	f := orderFilter{CustomerID: c.Query("customerId"), State: State(c.Query("status")), Limit: page.Fetch()}
	if page.After != nil {
		f.Before = page.After.Key
	}
	switch {
	case !plain(f.CustomerID) || utf8.RuneCountInString(f.CustomerID) > maxCustomerID:
		return httpapi.BadRequest("", httpapi.FieldError{
			Field: "customerId", Detail: fmt.Sprintf("must be up to %d characters, none of them a control character", maxCustomerID),
		})
	case f.State != "" && !slices.Contains(States, f.State):
		return httpapi.BadRequest("", httpapi.FieldError{Field: "status", Detail: fmt.Sprintf("must be one of %v", States)})
	}
	orders, err := listOrders(s.db.WithContext(c.Request.Context()), f)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, httpapi.NewList(page, orders, func(o *Order) (orderResponse, httpapi.Cursor) {
		return newOrderResponse(o, nil), httpapi.Cursor{Key: o.ID}
	}))
	return nil
}

// toProblem maps errors of the domain to HTTP.
func toProblem(err error) error {
	var late *TooLateError
	switch {
	case errors.Is(err, errUnknownOrder):
		return httpapi.NotFound("no order has this id")
	case errors.As(err, &late):
		return httpapi.NewProblem(http.StatusConflict, "too-late-to-cancel", "The order cannot be cancelled any more",
			"the parcel is already "+late.Because)
	default:
		return err
	}
}

// respond responds with the order and its history.
func (s *Service) respond(c *gin.Context, status int, o *Order) error {
	history, err := readHistory(s.db.WithContext(c.Request.Context()), o.ID)
	if err != nil {
		return err
	}
	c.JSON(status, newOrderResponse(o, history))
	return nil
}
