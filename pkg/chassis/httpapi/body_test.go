package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

func TestRouter_BoundsBodiesInMemory(t *testing.T) {
	t.Parallel()
	inside, finish := make(chan struct{}, 2), make(chan struct{})
	router := httpapi.NewRouter(httpapi.RouterConfig{MaxBodyMemory: 2 * httpapi.MaxBody})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
		body, err := httpapi.ReadBody(c)
		if err != nil {
			return err
		}
		if len(body) > 1000 {
			inside <- struct{}{}
			<-finish
		}
		c.Status(http.StatusNoContent)
		return nil
	}))
	large := strings.Repeat("x", httpapi.MaxBody)
	codes := make(chan int, 2)
	go func() { codes <- post(router, large).Code }()
	go func() { // counts as a body of the largest size, since it does not say its length
		req := httptest.NewRequest(http.MethodPost, "/api/v1/things", strings.NewReader(large[:20<<10]))
		req.ContentLength = -1
		codes <- serveOne(router, req).Code
	}()
	<-inside
	<-inside

	rec := post(router, large)
	wantProblem(t, rec, 503, "unavailable")
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if rec := post(router, "small"); rec.Code != http.StatusNoContent {
		t.Errorf("a small body: %d %s", rec.Code, rec.Body)
	}
	chunked := httptest.NewRequest(http.MethodPost, "/api/v1/things", strings.NewReader("small"))
	chunked.ContentLength = -1
	if rec := serveOne(router, chunked); rec.Code != http.StatusNoContent {
		t.Errorf("a small body that does not say its length: %d %s", rec.Code, rec.Body)
	}
	close(finish)
	for range 2 {
		if code := <-codes; code != http.StatusNoContent {
			t.Errorf("a body within the bound: %d", code)
		}
	}
	if rec := post(router, large); rec.Code != http.StatusNoContent {
		t.Errorf("after the others have finished: %d %s", rec.Code, rec.Body)
	}
}

func TestRouter_EndsSlowBodies(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{RequestTimeout: 100 * time.Millisecond})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
		_, err := httpapi.ReadBody(c)
		return err
	}))
	server := httptest.NewServer(router)
	defer server.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %s", resp.Status)
	}
}
