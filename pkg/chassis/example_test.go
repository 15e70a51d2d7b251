package chassis_test

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// A service embeds its migrations with go:embed migrations/*.sql.
var migrations embed.FS

type shopConfig struct {
	chassis.Config
	Motto string `env:"MOTTO" envDefault:"dance"`
}

// A whole service: its main calls chassis.Main, which reads the configuration and handles signals.
func Example() {
	run := func(ctx context.Context, cfg shopConfig) (err error) {
		db, err := chassis.OpenDatabase(ctx, cfg.DatabaseURL, chassis.DatabaseOptions{MaxConns: cfg.DatabaseMaxConns})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, chassis.CloseDatabase(db)) }()
		if err := chassis.Migrate(ctx, db, migrations); err != nil {
			return err
		}
		router := chassis.NewRouter(chassis.RouterConfig{
			Service: "shop", OpsToken: cfg.OpsToken, DefaultTenant: cfg.DefaultTenant,
			Checks: map[string]chassis.Check{"database": chassis.DatabaseCheck(db)},
		})
		router.API.GET("/motto", func(c *gin.Context) { c.String(http.StatusOK, cfg.Motto) })
		return chassis.Run(ctx, cfg.Config, router, chassis.PruneIdempotencyKeys(db))
	}
	main := func() {
		chassis.Main("shop", shopConfig{Config: chassis.Config{HTTPAddr: ":8090"}}, run)
	}
	_ = main
}

func ExampleParseEnv() {
	_, err := chassis.ParseEnv(shopConfig{}, []string{"AMQP_URL=amqp://guest:guest@mq", "EVENTS_AUDIT=perhaps"})
	fmt.Println(err)
	// Output:
	// EVENTS_AUDIT: must be true or false
	// DATABASE_URL is required
}

func ExampleIdempotent() {
	var db *gorm.DB // from OpenDatabase

	place := func(c *gin.Context) error {
		var order struct {
			CustomerID string `json:"customerId"`
		}
		if err := chassis.DecodeJSON(c, &order); err != nil {
			return err
		}
		if order.CustomerID == "" {
			return chassis.Unprocessable(chassis.FieldError{Field: "customerId", Detail: "is missing"})
		}
		opts := chassis.IdempotencyOptions{Required: true, Scope: "place order"}
		return chassis.Idempotent(c, db, opts, func(_ context.Context, tx *gorm.DB) (chassis.Reply, error) {
			if err := tx.Exec("insert into orders (id, customer_id) values (?, ?)", "1", order.CustomerID).Error; err != nil {
				return chassis.Reply{}, err
			}
			return chassis.Reply{Status: http.StatusAccepted, Location: "/api/v1/orders/1", Body: order}, nil
		})
	}

	router := chassis.NewRouter(chassis.RouterConfig{Service: "order"})
	router.API.POST("/orders", chassis.Handle(place))
}
