package chassis_test

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/database"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
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
		db, err := database.Open(ctx, cfg.DatabaseURL.Reveal(), database.Options{MaxConns: cfg.DatabaseMaxConns})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, database.Close(db)) }()
		if err := chassis.Migrate(ctx, db, migrations); err != nil {
			return err
		}
		router := httpapi.NewRouter(httpapi.RouterConfig{
			Service: "shop", OpsToken: cfg.OpsToken.Reveal(), DefaultTenant: cfg.DefaultTenant,
			Checks: map[string]httpapi.Check{"database": database.Check(db)},
		})
		router.API.GET("/motto", func(c *gin.Context) { c.String(http.StatusOK, cfg.Motto) })
		return chassis.Run(ctx, cfg.Config, router, httpapi.PruneIdempotencyKeys(db))
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
