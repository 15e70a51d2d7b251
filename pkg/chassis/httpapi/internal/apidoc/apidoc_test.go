package apidoc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `
openapi: 3.1.1
info: { title: Zoo <1>, version: "1", summary: Animals., description: "One <b>line</b> with ` + "`code`" + `.\n\nAnd another." }
tags: [{ name: animals }]
paths:
  /zebras/{id}:
    put:
      operationId: putZebra
      tags: [animals]
      summary: Keep a zebra
      security: [{ keeper: [] }]
      parameters:
        - { name: id, in: path, required: true, example: a b, schema: { type: string, pattern: "^[a-z ]+$", maxLength: 9 } }
        - $ref: "#/components/parameters/Key"
      requestBody:
        content:
          application/json:
            schema: { $ref: "#/components/schemas/Zebra" }
            example: { stripes: 40, ate: [grass] }
      responses:
        "200": { description: Kept., content: { application/json: { schema: { $ref: "#/components/schemas/Zebra" } } } }
        "404":
          description: Gone.
          content:
            application/problem+json:
              schema: { $ref: "#/components/schemas/Problem", properties: { type: { const: "https://x/gone" } } }
  /ants:
    get: { operationId: ants, tags: [animals], responses: { "204": { description: None. } } }
components:
  parameters:
    Key: { name: Key, in: header, required: true, example: k-1, schema: { type: string } }
  schemas:
    Zebra:
      type: object
      additionalProperties: false
      required: [stripes]
      properties:
        stripes: { type: integer, minimum: 1, maximum: 99 }
        ate: { type: array, items: { type: string, enum: [grass, hay] } }
        foals: { type: array, items: { $ref: "#/components/schemas/Zebra" } }
        moods: { type: object, additionalProperties: { enum: [calm, wild] } }
    Problem:
      type: object
      properties: { type: { type: string }, title: { type: string } }
  securitySchemes:
    keeper: { type: http, scheme: bearer, description: The keys. }
`

func parse(t *testing.T, text string) *Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestJSON_KeepsTheOrderInWhichItWasWritten(t *testing.T) {
	t.Parallel()
	got := string(parse(t, sample).JSON())
	for _, keys := range [][2]string{{`"/zebras/{id}"`, `"/ants"`}, {`"openapi"`, `"info"`}, {`"stripes":40`, `"ate":["grass"]`}} {
		first, second := strings.Index(got, keys[0]), strings.Index(got, keys[1])
		if first < 0 || second < first {
			t.Errorf("%s is at %d, %s at %d", keys[0], first, keys[1], second)
		}
	}
	if !strings.Contains(got, `"version":"1"`) || strings.Contains(got, "\n") {
		t.Errorf("got %s", got)
	}
}

func TestOperations_ListsEveryPathAndMethod(t *testing.T) {
	t.Parallel()
	want := []string{"PUT /zebras/{id}", "GET /ants"}
	if diff := cmp.Diff(want, parse(t, sample).Operations()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPage_ShowsWhatACallerNeeds(t *testing.T) {
	t.Parallel()
	d := parse(t, sample)
	op := d.page.Groups[0].Operations[0]
	want := call{
		Method: "PUT", Path: "/zebras/a%20b", Headers: []string{"Authorization: Bearer $OPS_TOKEN", "Key: k-1", "Content-Type: application/json"},
		Body: "{\n  \"stripes\": 40,\n  \"ate\": [\n    \"grass\"\n  ]\n}",
	}
	if diff := cmp.Diff(want, op.Call); diff != "" {
		t.Errorf("call (-want +got)\n%s", diff)
	}
	fields := map[string]field{}
	for _, f := range op.Body.Schema.Fields {
		fields[f.Name] = f
	}
	for name, want := range map[string]field{
		"stripes": {Type: "integer", Required: true, Limits: "1 to 99"},
		"ate":     {Type: "list of string", Limits: "one of `grass`, `hay`"},
		"moods":   {Type: "object", Limits: "one of `calm`, `wild`"},
	} {
		want.Name = name
		if diff := cmp.Diff(want, fields[name]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	// A problem is described once; an answer says only which one it is.
	if got := op.Answers[1].Body.Schema.Fields; len(got) != 1 || got[0].Limits != "always `https://x/gone`" || len(d.page.Problem.Fields) != 2 {
		t.Errorf("problem: %+v, %+v", got, d.page.Problem)
	}

	var page strings.Builder
	if err := d.WritePage(&page, "http://shop:1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<title>Zoo &lt;1&gt;</title>", "<p>One &lt;b&gt;line&lt;/b&gt; with <code>code</code>.</p><p>And another.</p>",
		"curl -i -X PUT 'http://shop:1/zebras/a%20b'", `id="ants"`, `href="#putZebra"`,
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, loads := range []string{"<script", "src=", "<link", "@import", "url("} {
		if strings.Contains(page.String(), loads) {
			t.Errorf("the page has %s", loads)
		}
	}
}

func TestParse_RefusesWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a: [", "openapi: 3.0.3\npaths: { /a: {} }", "openapi: 3.1.1", "[1]"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}
