package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

type (
	decodedItem struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	decoded struct {
		Name   string        `json:"name"`
		Items  []decodedItem `json:"items"`
		Amount int64         `json:"amount"`
	}
)

// decoder serves POST /things, which returns what it decoded, and /webhook, which ignores unknown fields.
func decoder(v *decoded) *httpapi.Router {
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	serve := func(decode func(*gin.Context, any) error) gin.HandlerFunc {
		return httpapi.Handle(func(c *gin.Context) error {
			*v = decoded{}
			return decode(c, v)
		})
	}
	router.API.POST("/things", serve(httpapi.DecodeJSON))
	router.API.POST("/webhook", serve(httpapi.DecodeWebhook))
	return router
}

func TestDecodeJSON_RejectsAmbiguousBodies(t *testing.T) {
	t.Parallel()
	router := decoder(new(decoded))
	long := strings.Repeat("x", 1000)
	for body, field := range map[string]string{
		`{"name":"a","name":"a"}`:                       "name",
		`{"name":"a","na\u006de":"b"}`:                  "name",
		`{"items":[],"items":[{"quantity":7}]}`:         "items",
		`{"items":[{},{"quantity":1,"quantity":7}]}`:    "items[1].quantity",
		`{"NAME":"a"}`:                                  "NAME",
		`{"items":[{"s\u212au":"a"}]}`:                  "items[0].s\u212au",
		`{"items":[{"0":1}]}`:                           "items[0].0",
		`{"a/b~":1}`:                                    "a/b~",
		`{"` + long + `":1}`:                            long[:200] + "…",
		"{\"name\":\"J\xf6rgen\"}":                      "name",
		"{\"items\":[{\"sku\":\"\xed\xa0\x80\"}]}":      "items[0].sku",
		`{"items":[{"sku":"\ud83d"}]}`:                  "items[0].sku",
		`{"name":"\udc00\ud800"}`:                       "name",
		`{"items":[{},{"quantity":"1"}]}`:               "items[1].quantity",
		`{"items":{}}`:                                  "items",
		`{"items":[{"quantity":1.5}]}`:                  "items[0].quantity",
		`{"items":[{"quantity":15e-1}]}`:                "items[0].quantity",
		`{"items":[{"quantity":1e-1}]}`:                 "items[0].quantity",
		`{"amount":1.00000000000000000000000000000001}`: "amount",
		`{"amount":9223372036854775808}`:                "amount",
		`{"amount":9223372036854775808.0}`:              "amount",
		`{"amount":1e19}`:                               "amount",
		`{"amount":1e999999999999999999999}`:            "amount",
		`{"amount":-1e2147483647}`:                      "amount",
		`{"amount":true}`:                               "amount",
	} {
		p := wantProblem(t, do(router, http.MethodPost, "/api/v1/things", body, "Content-Type", "application/json"), 400, "bad-request")
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%.100s: named %+v, want %s", body, p.Errors, field)
		}
	}
}

func TestDecodeJSON_AcceptsWholeNumbers(t *testing.T) {
	t.Parallel()
	var got decoded
	router := decoder(&got)
	for text, want := range map[string]int64{
		"1.0": 1, "1e0": 1, "1E+0": 1, "10e-1": 1, "0.1e1": 1, "1.50e1": 15, "-2.0": -2, "-0.0": 0, "0e99": 0, "100": 100, "1e2": 100,
		"9223372036854775807.0": 9223372036854775807, "-9223372036854775808": -9223372036854775808, "1e18": 1e18,
		"0.0000000000000000000000001e25": 1, "0.00": 0, "null": 0,
	} {
		body := `{"amount":` + text + `,"items":[{"quantity":` + text + `}]}`
		rec := do(router, http.MethodPost, "/api/v1/things", body, "Content-Type", "application/json")
		if rec.Code != http.StatusOK || got.Amount != want || got.Items[0].Quantity != int(want) {
			t.Errorf("%s: %d %s, decoded %+v", text, rec.Code, rec.Body, got)
		}
	}
}

func TestDecodeWebhook_IgnoresUnknownFields(t *testing.T) {
	t.Parallel()
	var got decoded
	router := decoder(&got)
	post := func(body string) {
		do(router, http.MethodPost, "/api/v1/webhook", body, "Content-Type", "application/json")
	}
	post(`{"name":"a","NAME":"b","more":{"x":[1]}}`)
	if diff := cmp.Diff(decoded{Name: "a"}, got); diff != "" {
		t.Error(diff)
	}
	for body, field := range map[string]string{
		`{"name":"a","name":"b"}`:     "name",
		`{"more":{"x":1,"x":2}}`:      "more.x",
		"{\"more\":{\"x\":\"\xff\"}}": "more.x",
	} {
		p := wantProblem(t, do(router, http.MethodPost, "/api/v1/webhook", body, "Content-Type", "application/json"), 400, "bad-request")
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: named %+v, want %s", body, p.Errors, field)
		}
	}
}

func TestDecodeJSON_RequiresUTF8(t *testing.T) {
	t.Parallel()
	router := decoder(new(decoded))
	for contentType, status := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, `application/json; charset="UTF-8"`: 200,
		"application/json; charset=iso-8859-1": 415, "application/json; charset=utf-16": 415, `application/json; charset=""`: 415,
		"application/json; charset=utf-8; charset=latin1": 415, "application/merge-patch+json": 415,
	} {
		if rec := do(router, http.MethodPost, "/api/v1/things", `{}`, "Content-Type", contentType); rec.Code != status {
			t.Errorf("%s: %d %s, want %d", contentType, rec.Code, rec.Body, status)
		}
	}
}
