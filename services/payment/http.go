package payment

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes registers the service's endpoints below /api/v1.
func (s *Service) Routes(r *httpapi.Router) {
	api := r.API
	api.GET("/payments/:orderId", httpapi.Handle(s.getPayment))
}

type (
	moneyJSON struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	// paymentResponse has no amounts until the order has arrived.
	paymentResponse struct {
		OrderID     string     `json:"orderId"`
		State       State      `json:"state"`
		Amount      *moneyJSON `json:"amount,omitempty"`
		Captured    *moneyJSON `json:"captured,omitempty"`
		Refunded    *moneyJSON `json:"refunded,omitempty"`
		PaymentID   string     `json:"paymentId,omitempty"` // the card processor's
		DeclineCode string     `json:"declineCode,omitempty"`
		Reason      string     `json:"reason,omitempty"`
		CreatedAt   time.Time  `json:"createdAt"`
		UpdatedAt   time.Time  `json:"updatedAt"`
	}
)

func (s *Service) getPayment(c *gin.Context) error {
	orderID, err := httpapi.PathID(c, "orderId")
	if err != nil {
		return err
	}
	r, err := findPayment(s.db.WithContext(c.Request.Context()), orderID)
	if errors.Is(err, errUnknownOrder) {
		return httpapi.NotFound(err.Error())
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newPaymentResponse(r))
	return nil
}

func newPaymentResponse(r paymentRow) paymentResponse {
	p := r.toPayment()
	response := paymentResponse{
		OrderID: p.OrderID, State: p.State, PaymentID: r.IntentID, DeclineCode: p.DeclineCode, Reason: p.Reason,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if p.OrderReceived {
		response.Amount = (*moneyJSON)(&p.Amount)
		response.Captured = &moneyJSON{p.captured(), p.Amount.Currency}
		response.Refunded = &moneyJSON{p.refunded(), p.Amount.Currency}
	}
	return response
}
