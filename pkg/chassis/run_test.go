package chassis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// serve starts Serve on a free port and returns its address and what will be its result.
func serve(ctx context.Context, t *testing.T, router *httpapi.Router, timeout time.Duration, runners ...func(context.Context) error) (string, <-chan error) {
	t.Helper()
	addr, ended := make(chan string, 1), make(chan error, 1)
	cfg := chassis.Config{HTTPAddr: "127.0.0.1:0", ShutdownTimeout: timeout, OnListen: func(a net.Addr) { addr <- a.String() }}
	go func() { ended <- chassis.Serve(ctx, cfg, router, runners...) }()
	select {
	case a := <-addr:
		return "http://" + a, ended
	case err := <-ended:
		t.Fatal(err)
		return "", nil
	}
}

func TestServe_StopsInOrder(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	inside, finish := make(chan struct{}), make(chan struct{})
	runnerStopped := make(chan struct{})
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.GET("/work", func(c *gin.Context) {
		close(inside)
		<-finish
		select {
		case <-runnerStopped:
			c.String(http.StatusInternalServerError, "the runner stopped before the end of the request")
		case <-c.Request.Context().Done():
			c.String(http.StatusInternalServerError, "the request's context ended")
		default:
			c.String(http.StatusOK, "done")
		}
	})
	runner := func(ctx context.Context) error {
		<-ctx.Done()
		close(runnerStopped)
		return nil
	}
	url, ended := serve(ctx, t, router, time.Minute, runner, func(context.Context) error { return nil })
	if got := get(t, url+"/readyz"); !strings.Contains(got, `"ready"`) {
		t.Errorf("before: %s", got)
	}
	response := make(chan string, 1)
	go func() { response <- get(t, url+"/work") }()
	<-inside
	stop()
	waitUntil(t, "readiness turns false", func() bool {
		return strings.Contains(do(router, http.MethodGet, "/readyz", "").Body.String(), "stopping")
	})
	waitUntil(t, "new connections are rejected", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(finish)
	if got := <-response; got != "done" {
		t.Errorf("the request under way got: %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestServe_RollingRestart restarts two instances one after the other, behind a load balancer that obeys readiness.
func TestServe_RollingRestart(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second // much longer than the interval of the probes
	type instance struct {
		url   string
		stop  context.CancelFunc
		ended <-chan error
		ready atomic.Bool
	}
	start := func() *instance {
		router := httpapi.NewRouter(httpapi.RouterConfig{})
		router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
			if _, err := httpapi.ReadBody(c); err != nil {
				return err
			}
			c.Status(http.StatusNoContent)
			return nil
		}))
		ctx, stop := context.WithCancel(context.Background())
		addr, ended := make(chan string, 1), make(chan error, 1)
		cfg := chassis.Config{
			HTTPAddr: "127.0.0.1:0", ShutdownTimeout: time.Minute, ShutdownDelay: delay,
			OnListen: func(a net.Addr) { addr <- a.String() },
		}
		go func() { ended <- chassis.Serve(ctx, cfg, router) }()
		return &instance{url: "http://" + <-addr, stop: stop, ended: ended}
	}
	instances := make([]atomic.Pointer[instance], 2)
	for i := range instances {
		instances[i].Store(start())
	}
	done := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() { // the probes of the load balancer
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for i := range instances {
				in := instances[i].Load()
				resp, err := http.Get(in.url + "/readyz")
				if err == nil {
					_ = resp.Body.Close()
				}
				in.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
			}
		}
	})
	waitUntil(t, "both are ready", func() bool { return instances[0].Load().ready.Load() && instances[1].Load().ready.Load() })

	var sent, failed atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for range 8 {
		background.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				in := instances[n%2].Load()
				if !in.ready.Load() {
					in = instances[(n+1)%2].Load()
				}
				resp, err := client.Post(in.url+"/api/v1/things", "text/plain", io.MultiReader(strings.NewReader("x"))) // not repeatable
				if err == nil {
					_ = resp.Body.Close()
				}
				if sent.Add(1); err != nil || resp.StatusCode != http.StatusNoContent {
					failed.Add(1)
					t.Errorf("a request failed: %v %+v", err, resp)
				}
			}
		})
	}
	for i := range instances {
		old := instances[i].Load()
		before := sent.Load()
		waitUntil(t, "requests are under way", func() bool { return sent.Load() > before+100 })
		old.stop()
		if err := <-old.ended; err != nil {
			t.Error(err)
		}
		instances[i].Store(start())
		waitUntil(t, "the new instance is ready", func() bool { return instances[i].Load().ready.Load() })
	}
	close(done)
	background.Wait()
	for i := range instances {
		in := instances[i].Load()
		in.stop()
		if err := <-in.ended; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d requests failed", failed.Load(), sent.Load())
}

func TestServe_StopsWhenRunnerFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	fail := make(chan struct{})
	_, ended := serve(t.Context(), t, httpapi.NewRouter(httpapi.RouterConfig{}), time.Minute,
		func(context.Context) error { <-fail; return broken },
		func(ctx context.Context) error { <-ctx.Done(); return nil })
	close(fail)
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestServe_AbandonsHangingWork(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	_, ended := serve(ctx, t, httpapi.NewRouter(httpapi.RouterConfig{}), 20*time.Millisecond,
		func(context.Context) error { <-release; return nil })
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "still under way") {
		t.Errorf("got %v", err)
	}
}

func TestServe_ReportsAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = chassis.Serve(t.Context(), chassis.Config{HTTPAddr: taken.Addr().String()}, httpapi.NewRouter(httpapi.RouterConfig{}))
	if err == nil {
		t.Error("no error")
	}
}

func TestServe_LimitsConcurrentRequests(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside, finish := make(chan struct{}, 10), make(chan struct{})
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.GET("/work", func(c *gin.Context) {
		inside <- struct{}{}
		<-finish
		c.String(http.StatusOK, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cfg := chassis.Config{HTTPAddr: "not looked at", Listener: listener, MaxRequests: 2}
	go func() { ended <- chassis.Serve(ctx, cfg, router) }()

	responses := make(chan string, 5)
	for range 5 {
		go func() { responses <- get(t, "http://"+listener.Addr().String()+"/work") }()
	}
	<-inside
	<-inside
	select {
	case <-inside:
		t.Error("a third request is served beside two")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	for range 5 {
		if got := <-responses; got != "done" {
			t.Errorf("response %q", got)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func do(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
