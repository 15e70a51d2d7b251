// Package httpfile reads files of HTTP requests as the REST Client of VS Code sends them, and fills in their variables.
//
// It knows what the repository's files use: requests that are separated by "### title", variables of the file
// ("@host = http://localhost:8081"), names ("# @name place"), parts of earlier exchanges
// ("{{place.response.body.$.id}}", "{{place.request.headers.Idempotency-Key}}") and {{$guid}}. One thing is its own, a
// comment that editors ignore: what the request expects.
//
//	# expect 202
//	# expect 202 or 409
//	# expect 200, state completed in the end
//
// The last means that the request is worth repeating until the field of the answer has this value.
package httpfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// File is what a file holds.
type File struct {
	Variables map[string]string
	Requests  []Request
}

// Request is one request, before its variables are filled in.
type Request struct {
	Title, Name string
	Line        int // of its title
	Expect      Expectation
	Method, URL string
	Header      [][2]string
	Body        string
}

// Expectation is what a request expects to be answered.
type Expectation struct {
	Statuses []int
	// Field of the answer has Value in the end. Empty if any answer will do.
	Field, Value string
}

// Exchange is a request as it was sent, and what came back.
type Exchange struct {
	RequestHeader, Header http.Header
	RequestBody, Body     []byte
}

var (
	variable    = regexp.MustCompile(`^@(\w+)\s*=\s*(.*)$`)
	named       = regexp.MustCompile(`^(?:#|//)\s*@name\s+(\w+)$`)
	expectation = regexp.MustCompile(`^# expect (\d{3})(?: or (\d{3}))?(?:, (\w+) (\S+) in the end)?$`)
	opening     = regexp.MustCompile(`^(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) (\S+)$`)
	header      = regexp.MustCompile(`^([A-Za-z0-9-]+):\s*(.*)$`)
)

// Parse reads a file. Every request must have a title and say what it expects.
func Parse(text string) (File, error) {
	f := File{Variables: map[string]string{}}
	var r *Request
	inBody := false
	for i, line := range strings.Split(text, "\n") {
		fail := func(what string) (File, error) { return File{}, fmt.Errorf("line %d: %s: %q", i+1, what, line) }
		if title, ok := strings.CutPrefix(line, "###"); ok {
			f.Requests = append(f.Requests, Request{Title: strings.TrimSpace(title), Line: i + 1})
			r, inBody = &f.Requests[len(f.Requests)-1], false
			continue
		}
		line = strings.TrimRight(line, " \t\r")
		switch match := func(p *regexp.Regexp) []string { return p.FindStringSubmatch(line) }; {
		case inBody:
			r.Body += line + "\n"
		case line == "" && r != nil && r.Method != "":
			inBody = true
		case line == "":
		case r == nil && match(variable) != nil:
			f.Variables[match(variable)[1]] = match(variable)[2]
		case r != nil && r.Method == "" && match(named) != nil:
			r.Name = match(named)[1]
		case r != nil && r.Method == "" && strings.HasPrefix(line, "# expect"):
			e := match(expectation)
			if e == nil {
				return fail("an expectation is not understood")
			}
			for _, s := range e[1:3] {
				if status, err := strconv.Atoi(s); err == nil {
					r.Expect.Statuses = append(r.Expect.Statuses, status)
				}
			}
			r.Expect.Field, r.Expect.Value = e[3], e[4]
		case strings.HasPrefix(line, "#"):
		case r != nil && r.Method == "" && match(opening) != nil:
			r.Method, r.URL = match(opening)[1], match(opening)[2]
		case r != nil && r.Method != "" && match(header) != nil:
			r.Header = append(r.Header, [2]string(match(header)[1:]))
		default:
			return fail("this is not understood")
		}
	}
	for i := range f.Requests {
		r := &f.Requests[i]
		r.Body = strings.TrimSpace(r.Body)
		if r.Title == "" || r.Method == "" || len(r.Expect.Statuses) == 0 {
			return File{}, fmt.Errorf("line %d: a request needs a title, a method and an expectation", r.Line)
		}
	}
	if len(f.Requests) == 0 {
		return File{}, fmt.Errorf("there are no requests")
	}
	return f, nil
}

var placeholder = regexp.MustCompile(`\{\{(.+?)\}\}`)

// Fill puts values in the place of the variables of a text: the file's, those of earlier exchanges by the names of their
// requests, and a new guid wherever one is asked for.
func (f File) Fill(text string, earlier map[string]Exchange, guid func() string) (string, error) {
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSpace(found[2 : len(found)-2])
		if name == "$guid" {
			return guid()
		}
		if value, ok := f.Variables[name]; ok {
			return value
		}
		value, err := lookUp(name, earlier)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", found, err)
		}
		return value
	})
	return filled, failed
}

// lookUp finds place.response.body.$.id and its like.
func lookUp(name string, earlier map[string]Exchange) (string, error) {
	parts := strings.SplitN(name, ".", 4)
	x, ok := earlier[parts[0]]
	if !ok || len(parts) < 4 {
		return "", fmt.Errorf("there is no such variable, and no earlier request of this name")
	}
	headers, body := x.Header, x.Body
	if parts[1] == "request" {
		headers, body = x.RequestHeader, x.RequestBody
	}
	if parts[2] == "headers" {
		if value := headers.Get(parts[3]); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("there is no such header")
	}
	if value, ok := Field(body, strings.TrimPrefix(parts[3], "$.")); ok {
		return value, nil
	}
	return "", fmt.Errorf("there is no such field in %s", body)
}

// Field finds a field of a JSON object, given as a.b, as text.
func Field(body []byte, path string) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return "", false
	}
	for key := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		if v = object[key]; v == nil {
			return "", false
		}
	}
	return fmt.Sprint(v), true
}

// Met says whether an answer is what was expected.
func (e Expectation) Met(status int, body []byte) bool {
	if !slices.Contains(e.Statuses, status) {
		return false
	}
	if e.Field == "" {
		return true
	}
	value, ok := Field(body, e.Field)
	return ok && value == e.Value
}
