package shipping

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// Routes registers the service's endpoints: below /api/v1 for customers, below /webhooks for the carrier.
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
	// shipmentResponse leaves out the address, which is personal data.
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
	sh := r.toShipment()
	response := shipmentResponse{
		OrderID: sh.OrderID, State: sh.State, ShipmentID: sh.ParcelID, Tracking: sh.Tracking, Items: []itemJSON{},
		Detail: sh.Detail, Reason: sh.Reason, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	for _, item := range sh.Items {
		response.Items = append(response.Items, itemJSON(item))
	}
	c.JSON(http.StatusOK, response)
	return nil
}
