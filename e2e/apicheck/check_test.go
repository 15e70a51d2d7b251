package apicheck

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts/openapi"
)

const id = "01a1fca4-9f9a-7341-b2e0-9dd5a3855120"

// get returns a valid exchange.
func get() Exchange {
	req := httptest.NewRequest(http.MethodGet, "/api/v1/orders/"+id, nil)
	req.Header.Set("X-Tenant-ID", "acme")
	return Exchange{
		Request: req, Status: http.StatusOK,
		Header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "X-Correlation-Id": {"flow"}, "X-Request-Id": {id}, "Date": {"today"},
		},
		Body: []byte(`{"id":"` + id + `","customerId":"ada","state":"pending","message":"We are checking.",
			"items":[{"sku":"fan","name":"Fan","quantity":1,"unitPrice":{"amount":1999,"currency":"EUR"}}],
			"total":{"amount":1999,"currency":"EUR"},"placedAt":"2026-11-21T05:46:49.626213Z",
			"shippingAddress":{"name":"Ada","street":"1 Ball Street","city":"Vienna","postalCode":"1010","country":"AT"}}`),
	}
}

// post returns another one.
func post() Exchange {
	x := get()
	x.RequestBody = []byte(`{"customerId":"ada","items":[{"sku":"fan","quantity":1}],"paymentMethod":"pm_card_visa",
		"shippingAddress":{"name":"Ada","street":"1 Ball Street","city":"Vienna","postalCode":"1010","country":"AT"}}`)
	x.Request = httptest.NewRequest(http.MethodPost, "/api/v1/orders", nil)
	x.Request.Header.Set("Idempotency-Key", "key")
	x.Request.Header.Set("Content-Type", "application/json")
	x.Status = http.StatusAccepted
	x.Header.Set("Location", "/api/v1/orders/"+id)
	return x
}

func list() Exchange {
	x := get()
	x.Request = httptest.NewRequest(http.MethodGet, "/api/v1/orders?limit=2&status=paid", nil)
	x.Body = []byte(`{"items":[],"nextCursor":"eyJrIjoiYSJ9"}`)
	return x
}

func audit() Exchange {
	x := get()
	x.Request = httptest.NewRequest(http.MethodGet, "/ops/audit", nil)
	x.Request.Header.Set("Authorization", "Bearer x")
	x.Body = []byte(`{"service":"order","at":"2026-11-21T05:46:49Z","entries":{"orders":[]},
		"events":{"audited":true,"consumedSince":"2026-11-21T05:46:49Z","outbox":[],"published":[],"consumed":[]}}`)
	return x
}

func TestCheck_AcceptsDescribedExchanges(t *testing.T) {
	t.Parallel()
	c := compile(t, openapi.Order)
	for _, x := range []Exchange{get(), post(), list(), audit()} {
		if err := c.Check(x); err != nil {
			t.Error(err)
		}
	}
}

func TestCheck_NamesEveryViolation(t *testing.T) {
	t.Parallel()
	c := compile(t, openapi.Order)
	replace := func(text *[]byte, old, with string) {
		if !strings.Contains(string(*text), old) {
			t.Fatalf("no %s in %s", old, *text)
		}
		*text = []byte(strings.Replace(string(*text), old, with, 1))
	}
	for name, m := range map[string]struct {
		good   func() Exchange
		change func(x *Exchange)
		want   string
	}{
		"unknown path":       {get, func(x *Exchange) { x.Request.URL.Path = "/api/v1/odrers" }, "no such path"},
		"path below a known": {get, func(x *Exchange) { x.Request.URL.Path += "/more" }, "no such path"},
		"unknown method":     {get, func(x *Exchange) { x.Request.Method = http.MethodPatch }, "no such method"},
		"status":             {get, func(x *Exchange) { x.Status = 206 }, "the status is not described"},
		"error without body": {get, func(x *Exchange) { x.Status = 404 }, "which is not described"},
		"extra field":        {get, func(x *Exchange) { replace(&x.Body, `"state"`, `"prize":1,"state"`) }, "'prize' not allowed"},
		"deep extra field":   {get, func(x *Exchange) { replace(&x.Body, `"sku"`, `"vat":1,"sku"`) }, "at '/items/0'"},
		"missing field":      {get, func(x *Exchange) { replace(&x.Body, `"customerId":"ada",`, ``) }, "customerId"},
		"mistyped field":     {get, func(x *Exchange) { replace(&x.Body, `"quantity":1`, `"quantity":"1"`) }, "at '/items/0/quantity': got string"},
		"unknown state":      {get, func(x *Exchange) { replace(&x.Body, `"pending"`, `"lost"`) }, "at '/state'"},
		"format":             {get, func(x *Exchange) { replace(&x.Body, `2026-11-21T`, `yesterday `) }, "at '/placedAt'"},
		"format of an id":    {get, func(x *Exchange) { replace(&x.Body, id, "7") }, "at '/id'"},
		"not JSON":           {get, func(x *Exchange) { x.Body = []byte("<p>") }, "not JSON"},
		"more than JSON":     {get, func(x *Exchange) { x.Body = append(x.Body, '1') }, "not JSON"},
		"media type":         {get, func(x *Exchange) { x.Header.Set("Content-Type", "text/html") }, `"text/html", which is not described`},
		"extra header":       {get, func(x *Exchange) { x.Header.Set("X-Powered-By", "Go") }, "X-Powered-By is not described"},
		"missing header":     {post, func(x *Exchange) { x.Header.Del("Location") }, "lacks the header Location"},
		"malformed header":   {get, func(x *Exchange) { x.Header.Set("X-Request-ID", "1") }, `X-Request-Id is "1"`},

		"request with a header":       {get, func(x *Exchange) { x.Request.Header.Set("X-Debug", "1") }, "X-Debug is not described"},
		"request with a bad tenant":   {get, func(x *Exchange) { x.Request.Header.Set("X-Tenant-ID", "a b") }, "X-Tenant-ID"},
		"request without a key":       {post, func(x *Exchange) { x.Request.Header.Del("Idempotency-Key") }, "lacks Idempotency-Key"},
		"request with an extra field": {post, func(x *Exchange) { replace(&x.RequestBody, `"items"`, `"prize":1,"items"`) }, "'prize' not allowed"},
		"request for too many":        {post, func(x *Exchange) { replace(&x.RequestBody, `"quantity":1`, `"quantity":1001`) }, "at '/items/0/quantity'"},
		"request with a blank name":   {post, func(x *Exchange) { replace(&x.RequestBody, `"Ada"`, `" "`) }, "at '/shippingAddress/name'"},
		"request with a long name":    {post, func(x *Exchange) { replace(&x.RequestBody, `"Ada"`, `"`+strings.Repeat("a", 201)+`"`) }, "at '/shippingAddress/name'"},
		"request without a body":      {post, func(x *Exchange) { x.RequestBody = nil }, "not JSON"},
		"request with a body":         {get, func(x *Exchange) { x.RequestBody = []byte("{}") }, "has a body"},
		"request with a query":        {list, func(x *Exchange) { x.Request.URL.RawQuery += "&color=red" }, "color is not described"},
		"request for a large page":    {list, func(x *Exchange) { x.Request.URL.RawQuery = "limit=101" }, `limit is "101"`},
		"request for a page of words": {list, func(x *Exchange) { x.Request.URL.RawQuery = "limit=two" }, `limit is "two"`},
		"accepted without a token":    {audit, func(x *Exchange) { x.Request.Header.Del("Authorization") }, "lacks Authorization"},
		"audit of another service":    {audit, func(x *Exchange) { replace(&x.Body, `"order"`, `"payment"`) }, "at '/service'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := m.good()
			m.change(&x)
			if err := c.Check(x); err == nil || !strings.Contains(err.Error(), m.want) {
				t.Errorf("got %v, want %q", err, m.want)
			}
		})
	}
}

// A rejected request may be invalid. Its response must be valid.
func TestCheck_RejectedRequestMayBeInvalid(t *testing.T) {
	t.Parallel()
	c := compile(t, openapi.Order)
	x := post()
	x.RequestBody = []byte(`{"prize":1}`)
	x.Status = http.StatusUnprocessableEntity
	x.Header.Del("Location")
	x.Header.Set("Content-Type", "application/problem+json")
	problem := map[string]any{
		"type": "https://quadrille.dev/problems/unprocessable", "title": "No", "status": 422,
		"instance": "/api/v1/orders", "correlationId": "flow",
	}
	check := func() error {
		var err error
		if x.Body, err = json.Marshal(problem); err != nil {
			t.Fatal(err)
		}
		return c.Check(x)
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	problem["type"] = "https://quadrille.dev/problems/conflict"
	if err := check(); err == nil || !strings.Contains(err.Error(), "at '/type'") {
		t.Errorf("a problem of another kind is accepted: %v", err)
	}
}

func TestNew_RejectsUnusableDocuments(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `{}`,
		`{"info":{},"paths":{"/a":{"get":{"responses":{"default":{"description":"any"}}}}}}`,
		`{"info":{},"paths":{"/a":{"get":{"responses":{"200":{"$ref":"#/components/responses/None"}}}}}}`,
		`{"info":{},"paths":{"/a":{"get":{"responses":{"200":{"content":{"application/json":{"schema":{"type":"objekt"}}}}}}}}}`,
	} {
		if _, err := New([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	t := &testing.T{}
	c, x := compile(t, openapi.Order), post()
	for b.Loop() {
		if err := c.Check(x); err != nil {
			b.Fatal(err)
		}
	}
}
