package apicheck

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/quadrille-dev/quadrille/contracts/openapi"
)

var documents = map[string][]byte{
	"order": openapi.Order, "inventory": openapi.Inventory, "payment": openapi.Payment, "shipping": openapi.Shipping,
}

func asJSON(t *testing.T, document []byte) []byte {
	t.Helper()
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compile(t *testing.T, document []byte) *Contract {
	t.Helper()
	c, err := New(asJSON(t, document))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lint validates a document with an OpenAPI library.
func lint(t *testing.T, document []byte) error {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return err
	}
	if !doc.IsOpenAPI31OrLater() {
		return fmt.Errorf("the version is OpenAPI %s", doc.OpenAPI)
	}
	return doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation())
}

func TestDocuments_AreValidOpenAPI(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		if err := lint(t, document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ids := map[string]bool{}
		for _, op := range compile(t, document).operations {
			if op.id == "" || ids[op.id] {
				t.Errorf("%s: the operationId of %s %v is missing or taken: %q", name, op.method, op.path, op.id)
			}
			ids[op.id] = true
		}
	}
}

// lint finds the mistakes that are easy to make.
func TestLint_FindsMistakes(t *testing.T) {
	t.Parallel()
	for _, change := range [][2]string{
		{"operationId: getOrder\n", "operationId: listOrders\n"},
		{"operationId: getOrder\n", "operationID: getOrder\n"},
		{"schema: { $ref: \"#/components/schemas/Order\" }", "schema: { $ref: \"#/components/schemas/Odrer\" }"},
		{"enum: [pending, reserved,", "enum: [pendign, reserved,"}, // the example does not match the schema
		{"type: object", "type: objekt"},
		{"openapi: 3.1.1", "openapi: 3.0.3"},
	} {
		bad := bytes.Replace(openapi.Order, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, openapi.Order) {
			t.Fatalf("the document lacks %q", change[0])
		}
		if err := lint(t, bad); err == nil {
			t.Errorf("lint accepts %q", change[1])
		}
	}
}

// Every example matches the schema beside it, formats included.
func TestDocuments_ExamplesMatchSchemas(t *testing.T) {
	t.Parallel()
	for name, document := range documents {
		root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON(t, document)))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource(documentURL, root); err != nil {
			t.Fatal(err)
		}
		r := &reader{root: root, compiler: compiler}
		examples := 0
		var walk func(at string)
		walk = func(at string) {
			if example := r.get(at + "/example"); example != nil && r.get(at+"/schema") != nil {
				examples++
				if err := r.schema(at + "/schema").Validate(example); err != nil {
					t.Errorf("%s%s: %v", name, at, plain(err))
				}
			}
			for _, key := range r.keys(at) {
				walk(at + "/" + escape(key))
			}
		}
		walk("/paths")
		walk("/components")
		if r.err != nil || examples < 4 {
			t.Errorf("%s: %d examples: %v", name, examples, r.err)
		}
	}
}

// Each document is complete in itself, so that they repeat some parts. These must be equal.
func TestDocuments_SharedPartsAreEqual(t *testing.T) {
	t.Parallel()
	type part struct {
		document string
		content  any
	}
	first := map[string]part{}
	compare := func(document, at string, content any) {
		if other, ok := first[at]; !ok {
			first[at] = part{document, content}
		} else if diff := cmp.Diff(other.content, content); diff != "" {
			t.Errorf("%s of %s and %s differ:\n%s", at, other.document, document, diff)
		}
	}
	for name, document := range documents {
		root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON(t, document)))
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{root: root}
		for _, path := range r.keys("/paths") {
			if !strings.HasPrefix(path, "/ops/") { // audit snapshots differ
				compare(name, "/paths"+path, r.get("/paths/"+escape(path)))
			}
		}
		for _, kind := range r.keys("/components") {
			for _, key := range r.keys("/components/" + kind) {
				if key != "IdempotencyKey" { // required by one service, optional for the other
					compare(name, "/components/"+kind+"/"+key, r.get("/components/"+kind+"/"+key))
				}
			}
		}
	}
}
