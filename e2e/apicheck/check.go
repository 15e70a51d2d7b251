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

// Exchange is a request and its response.
type Exchange struct {
	Request     *http.Request
	RequestBody []byte
	Status      int
	Header      http.Header
	Body        []byte
}

// Check returns an error that names every violation of the contract. It always checks the response, but the request only if
// it was accepted: a test may send an invalid request on purpose.
func (c *Contract) Check(x Exchange) error {
	op, err := c.find(x.Request)
	if err == nil {
		var found violations
		op.checkResponse(x, &found)
		if x.Status < http.StatusBadRequest {
			op.checkRequest(x, &found)
		}
		err = found.asError(op.id)
	}
	if err != nil {
		return fmt.Errorf("%s %s, status %d, violates the OpenAPI document of %q: %w",
			x.Request.Method, x.Request.URL.RequestURI(), x.Status, c.title, err)
	}
	return nil
}

// violations are the errors of one exchange.
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
		return nil, errors.New("the path has no such method")
	}
	return nil, errors.New("there is no such path")
}

// These headers need no description: they belong to HTTP itself or to tracing.
var (
	requestHeaders  = []string{"Accept-Encoding", "Content-Length", "Content-Type", "User-Agent", "Traceparent", "Tracestate", "Baggage"}
	responseHeaders = []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Vary"}
)

func (op *operation) checkResponse(x Exchange, found *violations) {
	want, ok := op.responses[x.Status]
	if !ok {
		found.add("the status is not described")
		return
	}
	for name, values := range x.Header {
		if p, ok := want.headers[name]; ok {
			p.check("the response's header "+name, values, found)
		} else if !slices.Contains(responseHeaders, name) {
			found.add("the response's header %s is not described", name)
		}
	}
	for name, p := range want.headers {
		if p.required && x.Header.Get(name) == "" {
			found.add("the response lacks the header %s", p.name)
		}
	}
	checkBody("the response's body", want.types, x.Header.Get("Content-Type"), x.Body, found)
}

func (op *operation) checkRequest(x Exchange, found *violations) {
	query := x.Request.URL.Query()
	headers := append(slices.Clone(requestHeaders), op.credentials...)
	var described []string
	for _, p := range op.parameters {
		var values []string
		switch p.in {
		case "path":
			values = []string{op.pathValue(x.Request.URL, p.name)}
		case "query":
			values = query[p.name]
			described = append(described, p.name)
		case "header":
			values = x.Request.Header.Values(p.name)
			headers = append(headers, canonical(p.name))
		}
		if p.required && len(values) == 0 {
			found.add("the request lacks %s in its %s", p.name, p.in)
		}
		p.check("the request's "+p.in+" parameter "+p.name, values, found)
	}
	for name := range query {
		if !slices.Contains(described, name) {
			found.add("the request's query parameter %s is not described", name)
		}
	}
	for name := range x.Request.Header {
		if !slices.Contains(headers, name) {
			found.add("the request's header %s is not described", name)
		}
	}
	for _, name := range op.credentials {
		if x.Request.Header.Get(name) == "" {
			found.add("the request lacks %s and was accepted", name)
		}
	}
	switch {
	case op.body == nil && len(x.RequestBody) > 0:
		found.add("the request has a body, and none is described")
	case op.body != nil && (op.body.required || len(x.RequestBody) > 0):
		checkBody("the request's body", op.body.types, x.Request.Header.Get("Content-Type"), x.RequestBody, found)
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

func (p parameter) check(what string, values []string, found *violations) {
	for _, text := range values {
		var v any = text
		if p.number && json.Valid([]byte(text)) {
			v = json.Number(text)
		}
		if err := p.schema.Validate(v); err != nil {
			found.add("%s is %q: %w", what, text, plain(err))
		}
	}
}

func checkBody(what string, types map[string]*jsonschema.Schema, contentType string, text []byte, found *violations) {
	if len(types) == 0 {
		if len(text) > 0 {
			found.add("%s is not empty: %s", what, text)
		}
		return
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	schema, ok := types[mediaType]
	if !ok {
		found.add("%s has the type %q, which is not described", what, contentType)
		return
	}
	var v any = string(text)
	if strings.HasSuffix(mediaType, "json") {
		var err error
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			found.add("%s is not JSON: %w: %s", what, err, text)
			return
		}
	}
	if err := schema.Validate(v); err != nil {
		found.add("%s: %w", what, plain(err))
	}
}

// plain drops the first line of the library's message, which names the internal URL of the schema.
func plain(err error) error {
	if _, details, ok := strings.Cut(err.Error(), "\n"); ok {
		return errors.New(details)
	}
	return err
}

func canonical(name string) string { return http.CanonicalHeaderKey(name) }
