package httpapi

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// StartupHandler returns the handler of a service that is not ready to serve: /livez returns 200, /readyz 503 with the
// status "starting", and every other path a problem with status 503 and Retry-After.
func StartupHandler() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	engine.Use(identify("")) // no handler needs the tenant yet
	engine.GET("/livez", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	engine.GET("/readyz", func(c *gin.Context) { c.JSON(http.StatusServiceUnavailable, gin.H{"status": "starting"}) })
	engine.NoRoute(Handle(func(*gin.Context) error {
		return Unavailable("The service is starting: it waits for its database, or brings its tables up to date. Nothing was changed.",
			2*time.Second)
	}))
	return engine
}
