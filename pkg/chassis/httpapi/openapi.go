package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi/internal/apidoc"
)

// ServeOpenAPI describes the service by an OpenAPI 3.1 document in YAML or JSON: at /openapi.json for programs, and at
// /docs as a page for people that loads nothing from anywhere. The error says that the document cannot be read.
func (r *Router) ServeOpenAPI(document []byte) error {
	doc, err := apidoc.Parse(document)
	if err != nil {
		return err
	}
	r.openapi = doc
	r.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", doc.JSON()) })
	r.GET("/docs", Handle(func(c *gin.Context) error {
		var page bytes.Buffer
		if err := doc.WritePage(&page, baseURL(c.Request)); err != nil {
			return fmt.Errorf("write the page: %w", err)
		}
		c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
		return nil
	}))
	return nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// baseURL is where the client found the service, for examples that it can copy: many services may run in one process,
// each on a port that no document knows.
func baseURL(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if !hostPattern.MatchString(host) {
		host = "localhost"
	}
	return scheme + "://" + host
}

var routeParameter = regexp.MustCompile(`[:*](\w+)`)

// CheckOpenAPI names everything that is served and not described, and everything that is described and not served. It is
// meant for a service's tests, once all its handlers are on the router.
func (r *Router) CheckOpenAPI() error {
	if r.openapi == nil {
		return errors.New("the router serves no OpenAPI document")
	}
	var served []string
	for _, route := range r.Routes() {
		served = append(served, route.Method+" "+routeParameter.ReplaceAllString(route.Path, "{$1}"))
	}
	described := r.openapi.Operations()
	var errs []error
	for _, s := range served {
		if !slices.Contains(described, s) {
			errs = append(errs, fmt.Errorf("%s is served, but not described", s))
		}
	}
	for _, d := range described {
		if !slices.Contains(served, d) {
			errs = append(errs, fmt.Errorf("%s is described, but not served", d))
		}
	}
	return errors.Join(errs...)
}
