package payment

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes adds the service's endpoints below /api/v1.
func (s *Service) Routes(r *httpapi.Router) {
	api := r.API
	api.GET("/payments/:orderId", httpapi.Handle(s.getPayment))
}

type (
	moneyJSON struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	// paymentResponse leaves out the amounts while the order itself is not known.
	paymentResponse struct {
		OrderID     string     `json:"orderId"`
		State       State      `json:"state"`
		Amount      *moneyJSON `json:"amount,omitempty"`
		Captured    *moneyJSON `json:"captured,omitempty"`
		Refunded    *moneyJSON `json:"refunded,omitempty"`
		PaymentID   string     `json:"paymentId,omitempty"` // the processor's
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
	c.JSON(http.StatusOK, responseOf(r))
	return nil
}

func responseOf(r paymentRow) paymentResponse {
	response := paymentResponse{
		OrderID: r.OrderID, State: r.State, PaymentID: r.IntentID, DeclineCode: r.DeclineCode, Reason: r.Reason,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.OrderSeen {
		p := r.payment()
		response.Amount = (*moneyJSON)(&p.Amount)
		response.Captured = &moneyJSON{p.captured(), r.Currency}
		response.Refunded = &moneyJSON{p.refunded(), r.Currency}
	}
	return response
}
