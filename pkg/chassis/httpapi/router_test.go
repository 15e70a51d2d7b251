package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
	"github.com/quadrille-dev/quadrille/pkg/events"
)

func do(handler http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return serveOne(handler, req)
}

func serveOne(handler http.Handler, req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

func wantProblem(t *testing.T, rec *httptest.ResponseRecorder, status int, slug string) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %q: %v", rec.Code, rec.Body, err)
	}
	if rec.Code != status || p.Status != status || p.Type != httpapi.ProblemBase+slug || p.Title == "" || p.CorrelationID == "" ||
		rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("want %d %s, got %d %s", status, slug, rec.Code, rec.Body)
	}
	return p
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

func TestRouter_ReturnsErrorsAsProblems(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	router := httpapi.NewRouter(httpapi.RouterConfig{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	outcomes := map[string]struct {
		err    error
		status int
		slug   string
	}{
		"problem":   {fmt.Errorf("wrapped: %w", httpapi.NotFound("No order 7.")), 404, "not-found"},
		"own":       {httpapi.NewProblem(409, "too-late", "It is too late", "shipped"), 409, "too-late"},
		"fields":    {httpapi.Unprocessable(httpapi.FieldError{Field: "sku", Detail: "is unknown"}), 422, "unprocessable"},
		"bug":       {errors.New("hunter2"), 500, "internal"},
		"read-only": {fmt.Errorf("hunter2: %w", &pgconn.PgError{Code: "25006"}), 503, "unavailable"},
		"locked":    {fmt.Errorf("hunter2: %w", &pgconn.PgError{Code: "55P03"}), 503, "unavailable"},
		"stale":     {fmt.Errorf("hunter2: %w", &pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}), 503, "unavailable"},
		"shutdown":  {fmt.Errorf("hunter2: %w", &pgconn.PgError{Code: "57P01"}), 503, "unavailable"},
		"deadlock":  {fmt.Errorf("hunter2: %w", &pgconn.PgError{Code: "40P01"}), 503, "unavailable"},
		"slow":      {fmt.Errorf("hunter2: %w", context.DeadlineExceeded), 503, "unavailable"},
		"because":   {httpapi.Conflict("no").Because(errors.New("hunter2")), 409, "conflict"},
	}
	for name, o := range outcomes {
		router.API.GET("/"+name, httpapi.Handle(func(*gin.Context) error { return o.err }))
	}
	router.API.GET("/panic", func(*gin.Context) { panic("hunter2") })
	outcomes["panic"] = outcomes["bug"]
	for name, o := range outcomes {
		rec := do(router, http.MethodGet, "/api/v1/"+name, "", "X-Correlation-ID", "flow-"+name)
		p := wantProblem(t, rec, o.status, o.slug)
		if p.CorrelationID != "flow-"+name || p.Instance != "/api/v1/"+name || strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("%s: %s", name, rec.Body)
		}
		if (rec.Header().Get("Retry-After") != "") != (o.status == 503) {
			t.Errorf("%s: Retry-After is %q", name, rec.Header().Get("Retry-After"))
		}
	}
	if n := strings.Count(log.String(), "hunter2"); n < 6 {
		t.Errorf("the causes are in the log %d times: %s", n, &log)
	}
	wantProblem(t, do(router, http.MethodGet, "/nowhere", ""), 404, "not-found")
	if p := wantProblem(t, do(router, http.MethodGet, "/no%20where", ""), 404, "not-found"); p.Instance != "/no%20where" {
		t.Errorf("the instance is %q, which is no URI", p.Instance)
	}
	wantProblem(t, do(router, http.MethodDelete, "/api/v1/bug", ""), 405, "method-not-allowed")
}

func TestRouter_SetsIDsInContextAndResponse(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{DefaultTenant: "home"})
	router.API.GET("/ids", func(c *gin.Context) {
		ctx := c.Request.Context()
		c.String(http.StatusOK, "%s|%s|%s", events.CorrelationID(ctx), events.TenantID(ctx), events.CausationID(ctx))
	})
	ask := func(header ...string) (ids []string, rec *httptest.ResponseRecorder) {
		rec = do(router, http.MethodGet, "/api/v1/ids", "", header...)
		return strings.Split(rec.Body.String(), "|"), rec
	}
	ids, rec := ask("X-Correlation-ID", "flow-1", "X-Tenant-ID", "acme")
	if want := []string{"flow-1", "acme", rec.Header().Get("X-Request-ID")}; !cmp.Equal(want, ids) || rec.Header().Get("X-Correlation-ID") != "flow-1" {
		t.Errorf("want %v, got %v %v", want, ids, rec.Header())
	}
	for _, unusable := range []string{"", strings.Repeat("x", 129), "two words", "line\nbreak"} {
		ids, rec := ask("X-Correlation-ID", unusable)
		if ids[0] == unusable || len(ids[0]) != 36 || ids[0] != rec.Header().Get("X-Correlation-ID") || ids[1] != "home" {
			t.Errorf("for %q got %v", unusable, ids)
		}
	}
	for _, tenant := range []string{"../x", "-a", "a b", strings.Repeat("a", 65)} {
		wantProblem(t, do(router, http.MethodGet, "/api/v1/ids", "", "X-Tenant-ID", tenant), 400, "bad-request")
	}
	wantProblem(t, do(router, http.MethodGet, "/api/v1/ids", "", "X-Tenant-ID", "acme", "X-Tenant-ID", "other"), 400, "bad-request")
}

func TestPathID_RejectsInvalidIDs(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.API.GET("/things/:id", httpapi.Handle(func(c *gin.Context) error {
		id, err := httpapi.PathID(c, "id")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, id)
		return nil
	}))
	for _, id := range []string{"a", "01a1fca4-9f9a-7341-b2e0-9dd5a3855120", "A.b_c-9", strings.Repeat("a", 64)} {
		if rec := do(router, http.MethodGet, "/api/v1/things/"+id, ""); rec.Code != http.StatusOK || rec.Body.String() != id {
			t.Errorf("%s: %d %s", id, rec.Code, rec.Body)
		}
	}
	for _, id := range []string{"%00", "a%00b", "%ff", "a%20b", ".", "-a", "%C3%A9", strings.Repeat("a", 65), "a%0A"} {
		wantProblem(t, do(router, http.MethodGet, "/api/v1/things/"+id, ""), 404, "not-found")
	}
}

func TestRouter_RequiresTokenForOps(t *testing.T) {
	t.Parallel()
	withToken := httpapi.NewRouter(httpapi.RouterConfig{OpsToken: "hunter2"})
	without := httpapi.NewRouter(httpapi.RouterConfig{})
	for _, router := range []*httpapi.Router{withToken, without} {
		router.Ops.GET("/audit", func(c *gin.Context) { c.Status(http.StatusOK) })
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer hunter", "Bearer hunter22", "Basic hunter2", "hunter2"} {
		rec := do(withToken, http.MethodGet, "/ops/audit", "", "Authorization", authorization)
		wantProblem(t, rec, 401, "unauthorized")
		if rec.Header().Get("WWW-Authenticate") == "" {
			t.Error("it does not ask for a token")
		}
		wantProblem(t, do(without, http.MethodGet, "/ops/audit", "", "Authorization", authorization), 401, "unauthorized")
	}
	if rec := do(withToken, http.MethodGet, "/ops/audit", "", "Authorization", "bearer hunter2"); rec.Code != http.StatusOK {
		t.Errorf("with the token: %d", rec.Code)
	}
}

func TestRouter_ReportsReadiness(t *testing.T) {
	t.Parallel()
	broken := errors.New("hunter2")
	var log bytes.Buffer
	router := httpapi.NewRouter(httpapi.RouterConfig{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Checks: map[string]httpapi.Check{
		"database": func(context.Context) error { return nil },
		"broker":   func(context.Context) error { return broken },
		"hanging":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	}})
	rec := do(router, http.MethodGet, "/readyz", "")
	want := `{"checks":{"broker":"failed","database":"ok","hanging":"timed out"},"status":"not ready"}`
	if rec.Code != http.StatusServiceUnavailable || rec.Body.String() != want {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log does not say why: %s", &log)
	}
	if rec := do(router, http.MethodGet, "/livez", ""); rec.Code != http.StatusOK {
		t.Errorf("livez: %d", rec.Code)
	}
	if rec := do(httpapi.NewRouter(httpapi.RouterConfig{}), http.MethodGet, "/readyz", ""); rec.Code != http.StatusOK {
		t.Errorf("without checks: %d", rec.Code)
	}
}

func TestRouter_SharesReadinessChecks(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	release := make(chan struct{})
	router := httpapi.NewRouter(httpapi.RouterConfig{Checks: map[string]httpapi.Check{
		"broker": func(ctx context.Context) error {
			calls.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		},
	}})
	gone, leave := context.WithCancel(t.Context())
	first := make(chan int, 1)
	go func() {
		first <- serveOne(router, httptest.NewRequestWithContext(gone, http.MethodGet, "/readyz", nil)).Code
	}()
	waitUntil(t, "the check runs", func() bool { return calls.Load() == 1 })
	leave() // a probe that disconnects must not end the check of the probes that wait with it
	if code := <-first; code != http.StatusServiceUnavailable {
		t.Errorf("the probe that disconnected: %d", code)
	}
	codes := make(chan int, 100)
	for range cap(codes) {
		go func() { codes <- do(router, http.MethodGet, "/readyz", "").Code }()
	}
	close(release)
	start := time.Now()
	for range cap(codes) {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
	if n := calls.Load(); n > 1+int64(time.Since(start)/time.Second) {
		t.Errorf("%d checks for %d probes", n, cap(codes))
	}
	waitUntil(t, "the result expires", func() bool {
		do(router, http.MethodGet, "/readyz", "")
		return calls.Load() > 1
	})
}

func TestRouter_ReadinessIsBounded(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	release := make(chan struct{})
	defer close(release)
	router := httpapi.NewRouter(httpapi.RouterConfig{Checks: map[string]httpapi.Check{
		"stuck": func(context.Context) error { calls.Add(1); <-release; return nil }, // ignores its context
	}})
	for range 2 {
		if rec := do(router, http.MethodGet, "/readyz", ""); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d", rec.Code)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the check that hangs was started %d times", n)
	}
}

func TestRouter_EndsSlowRequests(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{RequestTimeout: time.Millisecond})
	router.API.GET("/", httpapi.Handle(func(c *gin.Context) error {
		<-c.Done()
		return c.Request.Context().Err()
	}))
	wantProblem(t, do(router, http.MethodGet, "/api/v1/", ""), 503, "unavailable")
}

func TestDecodeJSON_NamesMistake(t *testing.T) {
	t.Parallel()
	type item struct {
		Quantity int `json:"quantity"`
	}
	router := httpapi.NewRouter(httpapi.RouterConfig{MaxBody: 100})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error {
		var v struct {
			Name  string `json:"name"`
			Items []item `json:"items"`
		}
		if err := httpapi.DecodeJSON(c, &v); err != nil {
			return err
		}
		c.JSON(http.StatusOK, v)
		return nil
	}))
	for _, bad := range []struct {
		body, field string
		status      int
		slug        string
	}{
		{``, "", 400, "bad-request"},
		{`{`, "", 400, "bad-request"},
		{`{]`, "", 400, "bad-request"},
		{`[]`, "", 400, "bad-request"},
		{`{} {}`, "", 400, "bad-request"},
		{`{} x`, "", 400, "bad-request"},
		{`{"label":"x"}`, "label", 400, "bad-request"},
		{`{"items":[{"quantity":"2"}]}`, "items[0].quantity", 400, "bad-request"},
		{`{"name":"` + strings.Repeat("x", 100) + `"}`, "", 413, "body-too-large"},
	} {
		p := wantProblem(t, post(router, bad.body, "Content-Type", "application/json; charset=utf-8"), bad.status, bad.slug)
		if (bad.field == "") != (len(p.Errors) == 0) || bad.field != "" && p.Errors[0].Field != bad.field {
			t.Errorf("%s: %+v", bad.body, p)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		wantProblem(t, post(router, `{}`, "Content-Type", contentType), 415, "unsupported-media-type")
	}
	if rec := post(router, " {\"name\":\"x\",\"items\":[{\"quantity\":2}]}\n", "Content-Type", "application/json"); rec.Code != http.StatusOK {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

func TestDecodeJSON_LimitsBodiesOfUnknownLength(t *testing.T) {
	t.Parallel()
	router := httpapi.NewRouter(httpapi.RouterConfig{MaxBody: 100})
	router.API.POST("/things", httpapi.Handle(func(c *gin.Context) error { return httpapi.DecodeJSON(c, &struct{}{}) }))
	req := httptest.NewRequest(http.MethodPost, "/api/v1/things", strings.NewReader(strings.Repeat(" ", 101)))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	router.ServeHTTP(rec, req)
	wantProblem(t, rec, 413, "body-too-large")
}

func TestList_VisitsEveryRowOnce(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	rows := make([]httpapi.Cursor, 45)
	for i := range rows {
		rows[i] = httpapi.Cursor{Time: start.Add(time.Duration(i/3) * time.Microsecond), Key: fmt.Sprintf("%02d", i)}
	}
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.API.GET("/rows", httpapi.Handle(func(c *gin.Context) error {
		page, err := httpapi.ParsePage(c)
		if err != nil {
			return err
		}
		rest := rows
		for i, row := range rows {
			if page.After != nil && row.Key == page.After.Key && row.Time.Equal(page.After.Time) {
				rest = rows[i+1:]
			}
		}
		c.JSON(http.StatusOK, httpapi.NewList(page, rest[:min(page.Fetch(), len(rest))], func(row httpapi.Cursor) (string, httpapi.Cursor) {
			return row.Key, row
		}))
		return nil
	}))
	for query, pages := range map[string][]int{"": {20, 20, 5}, "limit=15": {15, 15, 15}, "limit=100": {45}} {
		var sizes []int
		var seen []string
		for cursor := ""; ; {
			rec := do(router, http.MethodGet, "/api/v1/rows?"+query+"&cursor="+cursor, "")
			var list httpapi.List[string]
			if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			sizes, seen = append(sizes, len(list.Items)), append(seen, list.Items...)
			if cursor = list.NextCursor; cursor == "" {
				break
			}
		}
		if !cmp.Equal(sizes, pages) || len(seen) != len(rows) || seen[44] != "44" {
			t.Errorf("%q: pages of %v: %v", query, sizes, seen)
		}
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "cursor=!", "cursor=bnVsbA", "cursor=e30", "cursor=eyJrIjoiXHUwMDAwIn0"} {
		if p := wantProblem(t, do(router, http.MethodGet, "/api/v1/rows?"+query, ""), 400, "bad-request"); len(p.Errors) != 1 {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestList_EmptyIsArray(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(httpapi.NewList(httpapi.Page{Limit: 20}, nil, func(s string) (string, httpapi.Cursor) { return s, httpapi.Cursor{} }))
	if err != nil || string(text) != `{"items":[]}` {
		t.Errorf("%s (%v)", text, err)
	}
}
