// Package apidoc reads an OpenAPI 3.1 document and shows it: to programs as JSON, to people as a page of plain HTML that
// loads nothing and reads well on a phone. It knows the parts of OpenAPI that the services use; what else a document may
// hold is passed on in the JSON and left out of the page.
package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// Document is a parsed document. It does not change and is safe for concurrent use.
type Document struct {
	root root
	json []byte
	page page
}

// Parse reads a document in YAML or JSON. The error says what is wrong with its form; whether it is good OpenAPI is for a
// test to say.
func Parse(text []byte) (*Document, error) {
	d := &Document{}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(d.root.OpenAPI, "3.1.") || len(d.root.Paths) == 0 {
		return nil, fmt.Errorf("read the OpenAPI document: it is for OpenAPI %q and has %d paths, want 3.1 and some",
			d.root.OpenAPI, len(d.root.Paths))
	}
	converted, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("turn the OpenAPI document into JSON: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, converted); err != nil {
		return nil, fmt.Errorf("turn the OpenAPI document into JSON: %w", err)
	}
	d.json = compact.Bytes()
	d.page = d.root.page()
	return d, nil
}

// JSON is the document as JSON, with its keys in the order in which they were written. It is not to be changed.
func (d *Document) JSON() []byte { return d.json }

// Operations lists what the document describes, as in "GET /api/v1/orders/{orderId}".
func (d *Document) Operations() []string {
	var operations []string
	for _, path := range d.root.Paths {
		for _, method := range path.value {
			operations = append(operations, strings.ToUpper(method.key)+" "+path.key)
		}
	}
	return operations
}

type (
	root struct {
		OpenAPI string `yaml:"openapi"`
		Info    struct {
			Title, Summary, Description string
		}
		Tags       []tag
		Paths      ordered[ordered[operation]] // by path, then by method
		Components struct {
			Parameters      map[string]parameter
			Headers         map[string]parameter
			Schemas         map[string]schema
			Responses       map[string]response
			SecuritySchemes map[string]securityScheme `yaml:"securitySchemes"`
		}
	}
	tag       struct{ Name, Description string }
	operation struct {
		ID                   string `yaml:"operationId"`
		Tags                 []string
		Summary, Description string
		Security             []map[string][]string
		Parameters           []parameter
		RequestBody          struct{ Content ordered[content] } `yaml:"requestBody"`
		Responses            ordered[response]
	}
	// parameter is a header of an answer, too.
	parameter struct {
		Ref                   string `yaml:"$ref"`
		Name, In, Description string
		Required              bool
		Schema                schema
		Example               any
	}
	response struct {
		Ref         string `yaml:"$ref"`
		Description string
		Headers     ordered[parameter]
		Content     ordered[content]
	}
	content struct {
		Schema  schema
		Example example
	}
	securityScheme struct {
		Type, Scheme, Name, Description string
	}
	schema struct {
		Ref         string `yaml:"$ref"`
		Type        string
		Description string
		Format      string
		Pattern     string
		Enum        []any
		Const       any
		Default     any
		MinLength   *int `yaml:"minLength"`
		MaxLength   *int `yaml:"maxLength"`
		Minimum     *int
		Maximum     *int
		MinItems    *int `yaml:"minItems"`
		MaxItems    *int `yaml:"maxItems"`
		Required    []string
		Properties  ordered[schema]
		Items       *schema
		Values      *values `yaml:"additionalProperties"`
	}
)

// values are what a map may hold: a schema, or false for a list of properties that is complete.
type values struct{ schema }

// UnmarshalYAML takes a schema, and leaves false alone.
func (v *values) UnmarshalYAML(unmarshal func(any) error) error {
	var closed bool
	if unmarshal(&closed) == nil {
		return nil
	}
	return unmarshal(&v.schema)
}

// ordered is a map whose keys stay in the order in which they were written.
type ordered[T any] []entry[T]

type entry[T any] struct {
	key   string
	value T
}

// UnmarshalYAML reads the map twice, for its order and for its values.
func (o *ordered[T]) UnmarshalYAML(unmarshal func(any) error) error {
	var keys yaml.MapSlice
	if err := unmarshal(&keys); err != nil {
		return err
	}
	values := map[string]T{}
	if err := unmarshal(&values); err != nil {
		return err
	}
	for _, item := range keys {
		key := fmt.Sprint(item.Key)
		*o = append(*o, entry[T]{key, values[key]})
	}
	return nil
}

// example is a value as indented JSON, its keys in the order in which they were written.
type example string

// UnmarshalYAML takes any value.
func (e *example) UnmarshalYAML(text []byte) error {
	converted, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(converted), "", "  "); err != nil {
		return err
	}
	*e = example(indented.String())
	return nil
}

// resolve follows a reference within the document; what stands beside the reference counts more.
func (r *root) resolve(s schema) schema {
	for seen := 0; s.Ref != "" && seen < 10; seen++ {
		target := r.schemaAt(s.Ref)
		beside := s
		s = target
		if beside.Description != "" {
			s.Description = beside.Description
		}
		if beside.MinLength != nil {
			s.MinLength = beside.MinLength
		}
		if beside.MaxLength != nil {
			s.MaxLength = beside.MaxLength
		}
		s.Properties = append(ordered[schema](nil), s.Properties...)
		for _, p := range beside.Properties {
			for i := range s.Properties {
				if s.Properties[i].key == p.key {
					s.Properties[i].value.Const, s.Properties[i].value.Enum = p.value.Const, p.value.Enum
				}
			}
		}
	}
	return s
}

// schemaAt finds #/components/schemas/Name, and a property of such a schema below it.
func (r *root) schemaAt(ref string) schema {
	parts := strings.Split(strings.TrimPrefix(ref, "#/components/schemas/"), "/")
	s := r.Components.Schemas[parts[0]]
	for i := 1; i+1 < len(parts); i += 2 {
		for _, p := range s.Properties {
			if p.key == parts[i+1] {
				s = p.value
			}
		}
	}
	return s
}

// component is the last part of a reference, and empty for none.
func component(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

func (r *root) parameter(p parameter) parameter {
	if p.Ref != "" {
		return r.Components.Parameters[component(p.Ref)]
	}
	return p
}

func (r *root) header(p parameter) parameter {
	if p.Ref != "" {
		return r.Components.Headers[component(p.Ref)]
	}
	return p
}

func (r *root) response(p response) response {
	if p.Ref != "" {
		return r.Components.Responses[component(p.Ref)]
	}
	return p
}
