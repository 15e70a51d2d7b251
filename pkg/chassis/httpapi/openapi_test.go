package httpapi_test

import (
	"net/http"
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

func TestServeOpenAPI_IsEachRoutersOwn(t *testing.T) {
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
		rec = do(router, http.MethodGet, "/docs", "")
		if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") ||
			!strings.Contains(rec.Body.String(), "<h1>"+title+"</h1>") || !strings.Contains(rec.Body.String(), "http://example.com/"+title) {
			t.Errorf("%s: %d %s", title, rec.Code, rec.Body)
		}
	}
}

func TestServeOpenAPI_ShowsNoHostThatIsNone(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	if err := router.ServeOpenAPI(described("fans", "/fans")); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/docs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil';rm -rf ~;'"
	rec := serveOne(router, req)
	if strings.Contains(rec.Body.String(), "evil") || !strings.Contains(rec.Body.String(), "http://localhost/fans") {
		t.Errorf("got %s", rec.Body)
	}
}

func TestCheckOpenAPI_NamesWhatIsMissingOnEitherSide(t *testing.T) {
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
