package httpapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

func described(title, path string) []byte {
	return []byte(`
openapi: 3.1.1
info: { title: ` + title + `, version: "1" }
tags: [{ name: all }]
paths:
  /livez: { get: { operationId: a, tags: [all] } }
  /readyz: { get: { operationId: b, tags: [all] } }
  /metrics: { get: { operationId: c, tags: [all] } }
  /openapi.json: { get: { operationId: d, tags: [all] } }
  /docs: { get: { operationId: e, tags: [all] } }
  ` + path + `: { get: { operationId: f, tags: [all] } }
`)
}

func TestServeOpenAPI_Document(t *testing.T) {
	t.Parallel()
	fans, shoes := httpapi.NewRouter(httpapi.RouterConfig{}), httpapi.NewRouter(httpapi.RouterConfig{})
	for title, router := range map[string]*httpapi.Router{"fans": fans, "shoes": shoes} {
		if err := router.ServeOpenAPI(described(title, "/"+title)); err != nil {
			t.Fatal(err)
		}
	}
	for title, router := range map[string]*httpapi.Router{"fans": fans, "shoes": shoes} {
		rec := do(router, http.MethodGet, "/openapi.json", "")
		if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" ||
			!strings.Contains(rec.Body.String(), `"title":"`+title+`"`) {
			t.Errorf("%s: %d %s", title, rec.Code, rec.Body)
		}
	}
}

func TestServeOpenAPI_Viewer(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	if err := router.ServeOpenAPI(described("fans", "/fans")); err != nil {
		t.Fatal(err)
	}
	page := do(router, http.MethodGet, "/docs", "")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") ||
		!strings.Contains(page.Body.String(), "<title>fans") || !strings.Contains(page.Body.String(), "/openapi.json") {
		t.Errorf("page: %d %s", page.Code, page.Body)
	}
	policy := page.Header().Get("Content-Security-Policy")
	_, scripts, _ := strings.Cut(policy, "script-src ")
	scripts, _, _ = strings.Cut(scripts, ";")
	if !strings.HasPrefix(policy, "default-src 'none'") || !strings.HasPrefix(scripts, "'self' 'sha256-") ||
		strings.Contains(scripts, "unsafe") {
		t.Errorf("policy: %s", policy)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(assets) < 3 {
		t.Errorf("assets: %q", assets)
	}
	for _, asset := range assets {
		rec := do(router, http.MethodGet, asset[1], "", "Accept-Encoding", "gzip")
		if !strings.HasPrefix(asset[1], "/docs/") || rec.Code != http.StatusOK || rec.Body.Len() == 0 {
			t.Errorf("%s: %d", asset[1], rec.Code)
		}
	}
	wantProblem(t, do(router, http.MethodGet, "/docs/unknown.js", ""), http.StatusNotFound, "not-found")
}

func TestCheckOpenAPI(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	if err := router.CheckOpenAPI(); err == nil {
		t.Error("a router without a document passes")
	}
	if err := router.ServeOpenAPI([]byte("openapi: 2.0")); err == nil {
		t.Error("what is no document passes")
	}
	if err := router.ServeOpenAPI(described("fans", "/fans/{id}")); err != nil {
		t.Fatal(err)
	}
	router.POST("/shoes", func(*gin.Context) {})
	want := "POST /shoes is served, but not described\nGET /fans/{id} is described, but not served"
	if err := router.CheckOpenAPI(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
