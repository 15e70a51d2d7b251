package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/telemetry"
)

// Not parallel: it installs the providers of the process.
func TestStart_ClientsCreateNoSeries(t *testing.T) {
	shutdown, err := telemetry.Start(t.Context(), "labels", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shutdown(context.Background()) })
	router := gin.New()
	router.Use(otelgin.Middleware("labels"))
	router.POST("/things/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })

	hostile := func(n int) {
		for _, method := range []string{http.MethodPost, fmt.Sprintf("METHOD%d", n)} {
			for _, path := range []string{"/things/", "/other/"} {
				r := httptest.NewRequest(method, fmt.Sprintf("%s%d?q=%d", path, n, n), strings.NewReader("{}"))
				r.Host = fmt.Sprintf("host%d:%d", n, 1024+n)
				r.Proto = fmt.Sprintf("HTTP/1.%d", n)
				for _, header := range []string{"User-Agent", "X-Forwarded-Proto", "X-Forwarded-For", "X-Tenant-ID", "Content-Type"} {
					r.Header.Set(header, fmt.Sprint("value", n))
				}
				router.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
	hostile(0)
	before := httpSeries(t)
	for n := range 50 {
		hostile(n)
	}
	if after := httpSeries(t); before == 0 || after != before {
		t.Errorf("%d series, %d after requests with other values", before, after)
	}
}

// httpSeries returns the number of series of the HTTP server.
func httpSeries(t *testing.T) (n int) {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "http_server_") {
			n += len(f.GetMetric())
		}
	}
	return n
}
