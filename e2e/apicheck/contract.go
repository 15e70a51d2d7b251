// Package apicheck checks HTTP exchanges against an OpenAPI 3.1 document. It is stricter than a client has to be: a path,
// status, header, parameter or field that the document does not describe is a violation.
//
// Schemas are compiled once, as JSON Schema 2020-12 with assertion of formats, so that a check takes microseconds.
package apicheck

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Contract is a compiled document. It is safe for concurrent use.
type Contract struct {
	title      string
	operations []*operation
}

type (
	operation struct {
		id, method  string
		path        []string // segments; {name} matches any
		parameters  []parameter
		credentials []string // headers with credentials
		body        *body    // nil if there is none
		responses   map[int]*response
	}
	parameter struct {
		name, in string
		required bool
		value
	}
	body struct {
		required bool
		types    map[string]*jsonschema.Schema // by media type
	}
	response struct {
		headers map[string]parameter // by canonical name
		types   map[string]*jsonschema.Schema
	}
	// value is the type of a text in a header, path or query.
	value struct {
		schema *jsonschema.Schema
		number bool
	}
)

// New compiles a JSON document. The error names what is invalid in OpenAPI or JSON Schema, or too general to check against.
func New(document []byte) (*Contract, error) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, root); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	r := &reader{root: root, compiler: compiler}
	c := &Contract{title: r.text("/info/title")}
	for _, path := range r.keys("/paths") {
		for _, method := range r.keys("/paths/" + escape(path)) {
			c.operations = append(c.operations, r.operation(path, method))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(c.operations) == 0 {
		return nil, fmt.Errorf("%q describes no operations", c.title)
	}
	return c, nil
}

const documentURL = "openapi.json"

// reader reads a document by JSON pointers. It keeps the first error.
type reader struct {
	root     any
	compiler *jsonschema.Compiler
	err      error
}

func (r *reader) operation(path, method string) *operation {
	at := "/paths/" + escape(path) + "/" + method
	op := &operation{
		id: r.text(at + "/operationId"), method: strings.ToUpper(method), path: segments(path), responses: map[int]*response{},
	}
	for _, i := range r.keys(at + "/parameters") {
		p := r.follow(at + "/parameters/" + i)
		op.parameters = append(op.parameters, parameter{r.text(p + "/name"), r.text(p + "/in"), r.is(p + "/required"), r.value(p + "/schema")})
	}
	for _, i := range r.keys(at + "/security") {
		for _, name := range r.keys(at + "/security/" + i) {
			header := "Authorization"
			if scheme := "/components/securitySchemes/" + name; r.text(scheme+"/type") == "apiKey" {
				header = r.text(scheme + "/name")
			}
			op.credentials = append(op.credentials, header)
		}
	}
	if r.get(at+"/requestBody") != nil {
		b := r.follow(at + "/requestBody")
		op.body = &body{r.is(b + "/required"), r.content(b)}
	}
	for _, code := range r.keys(at + "/responses") {
		status, err := strconv.Atoi(code)
		if err != nil {
			r.fail("%s: %q is not a status; default and 4XX are too general", at, code)
		}
		a := r.follow(at + "/responses/" + code)
		op.responses[status] = &response{headers: map[string]parameter{}, types: r.content(a)}
		for _, name := range r.keys(a + "/headers") {
			h := r.follow(a + "/headers/" + name)
			op.responses[status].headers[canonical(name)] = parameter{name, "header", r.is(h + "/required"), r.value(h + "/schema")}
		}
	}
	return op
}

func (r *reader) content(at string) map[string]*jsonschema.Schema {
	types := map[string]*jsonschema.Schema{}
	for _, mediaType := range r.keys(at + "/content") {
		types[mediaType] = r.schema(at + "/content/" + escape(mediaType) + "/schema")
	}
	return types
}

func (r *reader) schema(at string) *jsonschema.Schema {
	s, err := r.compiler.Compile(documentURL + "#" + at)
	if err != nil {
		r.fail("compile %s: %w", at, err)
	}
	return s
}

func (r *reader) value(at string) value {
	kind := r.text(r.follow(at) + "/type")
	return value{r.schema(at), kind == "integer" || kind == "number"}
}

// follow returns the target of the reference at a location, or the location itself if there is no reference.
func (r *reader) follow(at string) string {
	if ref, ok := r.get(at + "/$ref").(string); ok {
		at = strings.TrimPrefix(ref, "#")
		if r.get(at) == nil {
			r.fail("the reference %s has no target", ref)
		}
	}
	return at
}

func (r *reader) get(at string) any {
	found := r.root
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		switch v := found.(type) {
		case map[string]any:
			found = v[unescape(part)]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			found = v[i]
		default:
			return nil
		}
	}
	return found
}

func (r *reader) text(at string) string {
	s, _ := r.get(at).(string)
	return s
}

func (r *reader) is(at string) bool { return r.get(at) == true }

// keys returns the sorted keys of a map, or the indices of a list.
func (r *reader) keys(at string) (keys []string) {
	switch v := r.get(at).(type) {
	case map[string]any:
		return slices.Sorted(maps.Keys(v))
	case []any:
		for i := range v {
			keys = append(keys, strconv.Itoa(i))
		}
	}
	return keys
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

var (
	escaper   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaper = strings.NewReplacer("~1", "/", "~0", "~")
)

func escape(key string) string   { return escaper.Replace(key) }
func unescape(key string) string { return unescaper.Replace(key) }

func segments(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }
