package chassis_test

import (
	"context"
	"embed"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/chassis/program"
	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// A service embeds its migrations with go:embed migrations/*.sql.
var migrations embed.FS

type greeterConfig struct {
	chassis.Config
	Greeting string `env:"GREETING"`
}

// A whole service. Its main function calls program.Main.
func ExampleRun() {
	run := func(ctx context.Context, cfg greeterConfig, db *gorm.DB, tr transport.Transport) error {
		return chassis.Run(ctx, cfg.Config, chassis.Service{
			Name:       "greeter",
			Migrations: migrations,
			Routes: func(r *httpapi.Router) {
				r.API.GET("/greeting", func(c *gin.Context) { c.String(http.StatusOK, cfg.Greeting) })
			},
		}, db, tr)
	}
	main := func() {
		program.Main("greeter", greeterConfig{Config: chassis.Defaults(":8090"), Greeting: "hello"}, run)
	}
	_ = main
	// Output:
}

func ExampleParseEnv() {
	defaults := greeterConfig{Config: chassis.Defaults(":8090")}
	_, err := chassis.ParseEnv(defaults, []string{"AMQP_URL=amqp://guest:guest@mq", "EVENTS_AUDIT=perhaps"})
	fmt.Println(err)
	// Output:
	// EVENTS_AUDIT: must be true or false
	// DATABASE_URL is required
}
