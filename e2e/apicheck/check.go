package apicheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request as it was sent and what came back.
type Exchange struct {
	Request     *http.Request
	RequestBody []byte
	Status      int
	Header      http.Header
	Body        []byte
}

// Check names every way in which the exchange breaks the contract. The answer is always checked, the request only if it
// was accepted: who sends nonsense on purpose wants to see it refused.
func (c *Contract) Check(x Exchange) error {
	op, err := c.find(x.Request)
	if err == nil {
		var broken violations
		op.checkAnswer(x, &broken)
		if x.Status < http.StatusBadRequest {
			op.checkRequest(x, &broken)
		}
		err = broken.asError(op.id)
	}
	if err != nil {
		return fmt.Errorf("%s %s, answered %d, breaks the OpenAPI document of %q: %w",
			x.Request.Method, x.Request.URL.RequestURI(), x.Status, c.title, err)
	}
	return nil
}

type violations []error

func (v *violations) add(format string, args ...any) { *v = append(*v, fmt.Errorf(format, args...)) }

func (v violations) asError(operation string) error {
	if len(v) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, errors.Join(v...))
}

func (c *Contract) find(req *http.Request) (*operation, error) {
	parts := segments(req.URL.EscapedPath())
	known := false
	for _, op := range c.operations {
		if !slices.EqualFunc(op.path, parts, func(want, got string) bool { return want == got || strings.HasPrefix(want, "{") }) {
			continue
		}
		if known = true; op.method == req.Method {
			return op, nil
		}
	}
	if known {
		return nil, errors.New("it has the path, but not this method")
	}
	return nil, errors.New("it has no such path")
}

// Headers of HTTP itself, which OpenAPI leaves alone, and of tracing.
var (
	requestHeaders = []string{"Accept-Encoding", "Content-Length", "Content-Type", "User-Agent", "Traceparent", "Tracestate", "Baggage"}
	answerHeaders  = []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Vary"}
)

func (op *operation) checkAnswer(x Exchange, broken *violations) {
	want, ok := op.answers[x.Status]
	if !ok {
		broken.add("the status is not described")
		return
	}
	for name, values := range x.Header {
		if p, ok := want.headers[name]; ok {
			p.check("the answer's header "+name, values, broken)
		} else if !slices.Contains(answerHeaders, name) {
			broken.add("the answer's header %s is not described", name)
		}
	}
	for name, p := range want.headers {
		if p.required && x.Header.Get(name) == "" {
			broken.add("the answer lacks the header %s", p.name)
		}
	}
	checkBody("the answer's body", want.types, x.Header.Get("Content-Type"), x.Body, broken)
}

func (op *operation) checkRequest(x Exchange, broken *violations) {
	query := x.Request.URL.Query()
	headers := append(slices.Clone(requestHeaders), op.secrets...)
	var asked []string
	for _, p := range op.parameters {
		var values []string
		switch p.in {
		case "path":
			values = []string{op.pathValue(x.Request.URL, p.name)}
		case "query":
			values = query[p.name]
			asked = append(asked, p.name)
		case "header":
			values = x.Request.Header.Values(p.name)
			headers = append(headers, canonical(p.name))
		}
		if p.required && len(values) == 0 {
			broken.add("the request lacks %s in its %s", p.name, p.in)
		}
		p.check("the request's "+p.in+" parameter "+p.name, values, broken)
	}
	for name := range query {
		if !slices.Contains(asked, name) {
			broken.add("the request's query parameter %s is not described", name)
		}
	}
	for name := range x.Request.Header {
		if !slices.Contains(headers, name) {
			broken.add("the request's header %s is not described", name)
		}
	}
	for _, name := range op.secrets {
		if x.Request.Header.Get(name) == "" {
			broken.add("the request lacks %s and was let in", name)
		}
	}
	switch {
	case op.body == nil && len(x.RequestBody) > 0:
		broken.add("the request has a body, and none is described")
	case op.body != nil && (op.body.required || len(x.RequestBody) > 0):
		checkBody("the request's body", op.body.types, x.Request.Header.Get("Content-Type"), x.RequestBody, broken)
	}
}

func (op *operation) pathValue(u *url.URL, name string) string {
	i := slices.Index(op.path, "{"+name+"}")
	if i < 0 {
		return ""
	}
	value, err := url.PathUnescape(segments(u.EscapedPath())[i])
	if err != nil {
		return segments(u.EscapedPath())[i]
	}
	return value
}

func (p parameter) check(what string, values []string, broken *violations) {
	for _, text := range values {
		var v any = text
		if p.number && json.Valid([]byte(text)) {
			v = json.Number(text)
		}
		if err := p.schema.Validate(v); err != nil {
			broken.add("%s is %q: %w", what, text, plain(err))
		}
	}
}

func checkBody(what string, types map[string]*jsonschema.Schema, contentType string, text []byte, broken *violations) {
	if len(types) == 0 {
		if len(text) > 0 {
			broken.add("%s is not empty: %s", what, text)
		}
		return
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	schema, ok := types[mediaType]
	if !ok {
		broken.add("%s is of the type %q, which is not described", what, contentType)
		return
	}
	var v any = string(text)
	if strings.HasSuffix(mediaType, "json") {
		var err error
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			broken.add("%s is no JSON: %w: %s", what, err, text)
			return
		}
	}
	if err := schema.Validate(v); err != nil {
		broken.add("%s: %w", what, plain(err))
	}
}

// plain drops the first line of the library's message, which says where the schema is kept.
func plain(err error) error {
	if _, details, ok := strings.Cut(err.Error(), "\n"); ok {
		return errors.New(details)
	}
	return err
}

func canonical(name string) string { return http.CanonicalHeaderKey(name) }
