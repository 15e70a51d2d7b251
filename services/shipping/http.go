package shipping

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes adds the service's endpoints: below /api/v1 for customers, below /webhooks for the carrier.
func (s *Service) Routes(r *httpapi.Router) {
	api := r.API
	api.GET("/shipments/:orderId", httpapi.Handle(s.getShipment))
	r.POST("/webhooks/carrier", httpapi.Handle(s.postCarrierWebhook))
}

type (
	itemJSON struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	// shipmentResponse does not tell the address.
	shipmentResponse struct {
		OrderID    string     `json:"orderId"`
		State      State      `json:"state"`
		ShipmentID string     `json:"shipmentId,omitempty"` // the carrier's
		Tracking   string     `json:"tracking,omitempty"`
		Items      []itemJSON `json:"items"`
		Detail     string     `json:"detail,omitempty"`
		Reason     string     `json:"reason,omitempty"`
		CreatedAt  time.Time  `json:"createdAt"`
		UpdatedAt  time.Time  `json:"updatedAt"`
	}
)

func (s *Service) getShipment(c *gin.Context) error {
	orderID, err := httpapi.PathID(c, "orderId")
	if err != nil {
		return err
	}
	r, err := findShipment(s.db.WithContext(c.Request.Context()), orderID)
	if errors.Is(err, errUnknownOrder) {
		return httpapi.NotFound(err.Error())
	}
	if err != nil {
		return err
	}
	response := shipmentResponse{
		OrderID: r.OrderID, State: r.State, ShipmentID: r.ParcelID, Tracking: r.Tracking, Items: []itemJSON{},
		Detail: r.Detail, Reason: r.Reason, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	for _, item := range r.Items {
		response.Items = append(response.Items, itemJSON(item))
	}
	c.JSON(http.StatusOK, response)
	return nil
}
