package httpapi_test

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

func ExampleIdempotent() {
	var db *gorm.DB // from database.Open

	place := func(c *gin.Context) error {
		var order struct {
			CustomerID string `json:"customerId"`
		}
		if err := httpapi.DecodeJSON(c, &order); err != nil {
			return err
		}
		if order.CustomerID == "" {
			return httpapi.Unprocessable(httpapi.FieldError{Field: "customerId", Detail: "is missing"})
		}
		opts := httpapi.IdempotencyOptions{Required: true, Scope: "place order"}
		return httpapi.Idempotent(c, db, opts, func(_ context.Context, tx *gorm.DB) (httpapi.Reply, error) {
			if err := tx.Exec("insert into orders (id, customer_id) values (?, ?)", "1", order.CustomerID).Error; err != nil {
				return httpapi.Reply{}, err
			}
			return httpapi.Reply{Status: http.StatusAccepted, Location: "/api/v1/orders/1", Body: order}, nil
		})
	}

	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "order"})
	router.API.POST("/orders", httpapi.Handle(place))
	// Output:
}
