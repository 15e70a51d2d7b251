package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"
)

const (
	documentRoute = "/openapi.json"
	viewerRoute   = "/docs"
	assetsRoute   = "/docs/:asset"
)

// ServeOpenAPI serves an OpenAPI 3.1 document, which is in YAML or JSON: as JSON at /openapi.json, and in Swagger UI at
// /docs. The viewer is part of the program and loads nothing from other hosts. The error says that the document cannot
// be read.
func (r *Router) ServeOpenAPI(document []byte) error {
	var doc struct {
		OpenAPI string
		Info    struct{ Title string }
		Paths   map[string]map[string]any // by path, then by method
	}
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || len(doc.Paths) == 0 {
		return fmt.Errorf("read the OpenAPI document: version %q with %d paths, want 3.1 and at least one path",
			doc.OpenAPI, len(doc.Paths))
	}
	converted, err := yaml.YAMLToJSON(document)
	if err != nil {
		return fmt.Errorf("convert the OpenAPI document: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, converted); err != nil {
		return fmt.Errorf("convert the OpenAPI document: %w", err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			r.described = append(r.described, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(r.described)
	r.GET(documentRoute, func(c *gin.Context) { c.Data(http.StatusOK, "application/json", compact.Bytes()) })
	r.serveViewer(doc.Info.Title)
	return nil
}

// serveViewer serves the page of Swagger UI, which is the same for all requests, and its scripts and styles, which
// stay compressed in the program.
func (r *Router) serveViewer(title string) {
	viewer := v5emb.NewHandlerWithConfig(swgui.Config{Title: title, SwaggerJSON: documentRoute, BasePath: viewerRoute})
	rendered := buffer{header: http.Header{}}
	viewer.ServeHTTP(&rendered, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: viewerRoute}})
	page := rendered.Bytes()
	policy := viewerPolicy(page)
	r.GET(viewerRoute, func(c *gin.Context) {
		c.Header("Content-Security-Policy", policy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	r.GET(assetsRoute, Handle(func(c *gin.Context) error {
		if asset := c.Param("asset"); !embedded(asset) && !embedded(asset+".gz") {
			return NotFound("The viewer has no such file.")
		}
		viewer.ServeHTTP(c.Writer, c.Request)
		return nil
	}))
}

func embedded(asset string) bool {
	_, err := fs.Stat(static.FS, asset)
	return err == nil
}

// buffer is a response that stays in memory.
type buffer struct {
	bytes.Buffer

	header http.Header
}

func (b *buffer) Header() http.Header { return b.header }
func (*buffer) WriteHeader(int)       {}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// viewerPolicy returns the Content-Security-Policy of the viewer: everything is from this server, and of the inline
// scripts only those of the page run. Swagger UI sets styles and images inline.
func viewerPolicy(page []byte) string {
	scripts := []string{"'self'"}
	for _, script := range inlineScript.FindAllSubmatch(page, -1) {
		hash := sha256.Sum256(script[1])
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

var routeParameter = regexp.MustCompile(`[:*](\w+)`)

// CheckOpenAPI returns an error that names every operation that is served and not described, or described and not
// served. The files of the viewer need no description. A service's tests call it when all handlers are on the router.
func (r *Router) CheckOpenAPI() error {
	if r.described == nil {
		return errors.New("the router serves no OpenAPI document")
	}
	var served []string
	for _, route := range r.Routes() {
		if route.Path != assetsRoute {
			served = append(served, route.Method+" "+routeParameter.ReplaceAllString(route.Path, "{$1}"))
		}
	}
	var errs []error
	for _, s := range served {
		if !slices.Contains(r.described, s) {
			errs = append(errs, fmt.Errorf("%s is served, but not described", s))
		}
	}
	for _, d := range r.described {
		if !slices.Contains(served, d) {
			errs = append(errs, fmt.Errorf("%s is described, but not served", d))
		}
	}
	return errors.Join(errs...)
}
