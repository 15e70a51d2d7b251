package httpfile

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# About this file.
@host = http://localhost:8081
@token = let-me-see

### Place an order
# It is stored at once.
# @name place
# expect 202
POST {{host}}/orders
Content-Type: application/json
Idempotency-Key: {{$guid}}

{
  "a": 1,

  "b": "#"
}

### Look at it
# expect 200, state completed in the end
GET {{host}}/orders/{{place.response.body.$.id}}

### Cancel it
# expect 202 or 409
DELETE {{host}}/orders/{{place.response.body.$.id}}
Authorization: Bearer {{token}}
`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	want := File{
		Variables: map[string]string{"host": "http://localhost:8081", "token": "let-me-see"},
		Requests: []Request{
			{
				Title: "Place an order", Name: "place", Line: 5, Expect: Expectation{Statuses: []int{202}},
				Method: "POST", URL: "{{host}}/orders",
				Header: [][2]string{{"Content-Type", "application/json"}, {"Idempotency-Key", "{{$guid}}"}},
				Body:   "{\n  \"a\": 1,\n\n  \"b\": \"#\"\n}",
			},
			{
				Title: "Look at it", Line: 19, Expect: Expectation{[]int{200}, "state", "completed"},
				Method: "GET", URL: "{{host}}/orders/{{place.response.body.$.id}}",
			},
			{
				Title: "Cancel it", Line: 23, Expect: Expectation{Statuses: []int{202, 409}},
				Method: "DELETE", URL: "{{host}}/orders/{{place.response.body.$.id}}",
				Header: [][2]string{{"Authorization", "Bearer {{token}}"}},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParse_RejectsInvalidFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "@host = x\n", "GET /\n", "### a\nGET http://x\n", "### a\n# expect 2\nGET http://x\n", "### a\n# expect 200, soon\nGET http://x\n",
		"###\n# expect 200\nGET http://x\n", "### a\n# expect 200\n", "### a\n# expect 200\nFETCH http://x\n",
		"### a\n# expect 200\nGET http://x\nnot a header\n", "### a\n# expect 200\n@late = 1\nGET http://x\n",
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestFile_Fill(t *testing.T) {
	t.Parallel()
	f := File{Variables: map[string]string{"host": "http://h"}}
	previous := map[string]Exchange{"place": {
		RequestHeader: http.Header{"Idempotency-Key": {"k-1"}}, RequestBody: []byte(`{"sku":"fan"}`),
		Header: http.Header{"Location": {"/orders/7"}}, Body: []byte(`{"id":"7","total":{"amount":12345678901234567890}}`),
	}}
	guid := func() string { return "g" }
	for text, want := range map[string]string{
		"{{host}}/{{ host }}":                         "http://h/http://h",
		"{{$guid}}":                                   "g",
		"{{place.response.body.$.id}}!":               "7!",
		"{{place.response.body.$.total.amount}}":      "12345678901234567890",
		"{{place.request.body.$.sku}}":                "fan",
		"{{place.response.headers.location}}":         "/orders/7",
		"{{place.request.headers.Idempotency-Key}}":   "k-1",
		"{\"plain\": {\"json\": {}}}":                 "{\"plain\": {\"json\": {}}}",
		"{{host}}{{place.response.headers.Location}}": "http://h/orders/7",
	} {
		if got, err := f.Fill(text, previous, guid); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"{{unknown}}", "{{other.response.body.$.id}}", "{{place.response.body.$.none}}", "{{place.response.headers.None}}", "{{place}}"} {
		if _, err := f.Fill(text, previous, guid); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestExpectation_Matches(t *testing.T) {
	t.Parallel()
	e := Expectation{[]int{200, 202}, "state", "paid"}
	for _, c := range []struct {
		status int
		body   string
		want   bool
	}{
		{200, `{"state":"paid"}`, true},
		{202, `{"state":"paid"}`, true},
		{404, `{"state":"paid"}`, false},
		{200, `{"state":"pending"}`, false},
		{200, `{}`, false},
		{200, ``, false},
	} {
		if got := e.Matches(c.status, []byte(c.body)); got != c.want {
			t.Errorf("%d %s: %t", c.status, c.body, got)
		}
	}
	if !(Expectation{Statuses: []int{204}}).Matches(204, nil) {
		t.Error("an expectation without a field does not match")
	}
}
