package servicetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// CheckBodies sends the example of every JSON body in the OpenAPI document, and variants of it as clients have sent them: with
// a field given twice, a name in capitals, text that is not UTF-8, a control character, a value of another type, another
// charset, and whole numbers with a fraction of zero. The service must accept the example and the whole numbers, and refuse
// every other variant with the name of the field. The function headers returns the headers of a new request with a body. Path
// parameters have the values in params.
func CheckBodies(t *testing.T, h *Harness, document []byte, params map[string]string, headers func(body string) []string) {
	t.Helper()
	for _, op := range operationsWithBody(t, document) {
		path := op.path
		for name, value := range params {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			for _, v := range variants(op.example, op.open) {
				t.Run(v.mistake+" "+v.at, func(t *testing.T) {
					body := v.render(op.example, "")
					rec := h.Call(t, op.method, path, body, append(headers(body), "Content-Type: "+v.contentType)...)
					switch {
					case v.field != "":
						WantProblem(t, rec, v.status(rec.Code), v.field)
					case v.mistake == otherCharset:
						WantProblem(t, rec, http.StatusUnsupportedMediaType)
					case rec.Code >= http.StatusMultipleChoices:
						t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
					}
				})
			}
		})
	}
}

type operationWithBody struct {
	method, path string
	example      any
	open         bool // unknown fields are ignored
}

func operationsWithBody(t *testing.T, document []byte) []operationWithBody {
	t.Helper()
	type schema struct {
		Ref                  string `json:"$ref"`
		AdditionalProperties any    `json:"additionalProperties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema  schema `json:"schema"`
					Example any    `json:"example"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	text, err := yaml.YAMLToJSON(document)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	var found []operationWithBody
	for path, methods := range doc.Paths {
		for method, op := range methods {
			body, ok := op.RequestBody.Content["application/json"]
			if !ok {
				continue
			}
			if body.Example == nil {
				t.Errorf("%s %s has a body without an example", method, path)
				continue
			}
			if name, ok := strings.CutPrefix(body.Schema.Ref, "#/components/schemas/"); ok {
				body.Schema = doc.Components.Schemas[name]
			}
			found = append(found, operationWithBody{
				strings.ToUpper(method), path, body.Example, body.Schema.AdditionalProperties == nil,
			})
		}
	}
	if len(found) == 0 {
		t.Error("the document has no operation with a JSON body")
	}
	return found
}

// variant is a mistake in one field of a body.
type variant struct {
	mistake, at string
	field       string // what the problem must name; empty if the body is good
	contentType string
}

// status returns the status that the variant must get. Control characters are valid JSON: where they are refused is
// the choice of the service.
func (v variant) status(got int) int {
	if v.mistake == control && got == http.StatusUnprocessableEntity {
		return got
	}
	return http.StatusBadRequest
}

// Mistakes.
const (
	twice     = "given twice"
	capitals  = "in capitals"
	latin1    = "in Latin-1"
	surrogate = "with half a surrogate pair"
	control   = "with a NUL"
	asText    = "of another type"
	fraction  = "with a fraction"
	whole     = "with a fraction of zero"

	otherCharset = "declared as Latin-1"
)

func variants(example any, open bool) []variant {
	const plain = "application/json"
	all := []variant{
		{mistake: "unchanged", contentType: plain},
		{mistake: "declared as UTF-8", contentType: plain + "; charset=utf-8"},
		{mistake: otherCharset, contentType: plain + "; charset=iso-8859-1"},
	}
	var visit func(v any, at string)
	visit = func(v any, at string) {
		add := func(field string, mistakes ...string) {
			for _, m := range mistakes {
				all = append(all, variant{m, at, field, plain})
			}
		}
		if at != "" && !strings.HasSuffix(at, "]") {
			add(at, twice)
			if !open {
				parent, name, nested := cutLast(at)
				if nested {
					parent += "."
				}
				add(parent+strings.ToUpper(name), capitals)
			}
		}
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				visit(member, join(at, name))
			}
		case []any:
			for i, element := range v {
				visit(element, fmt.Sprintf("%s[%d]", at, i))
			}
		case string:
			add(at, latin1, surrogate, control, asText)
		case float64:
			add(at, asText, fraction)
			add("", whole)
		}
	}
	visit(example, "")
	return all
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func cutLast(at string) (parent, name string, nested bool) {
	if i := strings.LastIndexByte(at, '.'); i >= 0 {
		return at[:i], at[i+1:], true
	}
	return "", at, false
}

// render returns the JSON of the value at a path, with the mistake of the variant.
func (v variant) render(value any, at string) string {
	mistake := ""
	if at == v.at {
		mistake = v.mistake
	}
	switch value := value.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			where := join(at, name)
			member := strconv.Quote(name) + ":" + v.render(value[name], where)
			if where == v.at && v.mistake == capitals {
				member = strconv.Quote(strings.ToUpper(name)) + ":" + v.render(value[name], where)
			}
			if where == v.at && v.mistake == twice {
				member += "," + member
			}
			members = append(members, member)
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var elements []string
		for i, element := range value {
			elements = append(elements, v.render(element, fmt.Sprintf("%s[%d]", at, i)))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case string:
		switch mistake {
		case latin1:
			return "\"" + value + "\xe9\""
		case surrogate:
			return `"` + value + `\ud83d"`
		case control:
			return `"` + value + `\u0000"`
		case asText:
			return "7"
		}
	case float64:
		switch mistake {
		case asText:
			return `"7"`
		case fraction:
			return fmt.Sprint(value) + ".5"
		case whole:
			return fmt.Sprint(value) + ".0"
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
