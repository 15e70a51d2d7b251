// Package httpfile reads files of HTTP requests in the format of REST Client for VS Code, and fills in their variables.
//
// It supports what the repository's files use: requests separated by "### title", variables of the file
// ("@host = http://localhost:8081"), names ("# @name place"), parts of previous exchanges
// ("{{place.response.body.$.id}}", "{{place.request.headers.Idempotency-Key}}") and {{$guid}}. In addition, a comment states
// the expected response:
//
//	# expect 202
//	# expect 202 or 409
//	# expect 200, state completed in the end
//
// The last form means that the request is to be repeated until the field of the response has this value.
package httpfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// File is a parsed file.
type File struct {
	Variables map[string]string
	Requests  []Request
}

// Request is a request with placeholders for variables.
type Request struct {
	Title, Name string
	Line        int // of the title
	Expect      Expectation
	Method, URL string
	Header      [][2]string
	Body        string
}

// Expectation is the response that a request expects.
type Expectation struct {
	Statuses []int
	// Field of the response has Value in the end. Empty if any response is accepted.
	Field, Value string
}

// Exchange is a request with its variables filled in, and its response.
type Exchange struct {
	RequestHeader, Header http.Header
	RequestBody, Body     []byte
}

var (
	variable    = regexp.MustCompile(`^@(\w+)\s*=\s*(.*)$`)
	named       = regexp.MustCompile(`^(?:#|//)\s*@name\s+(\w+)$`)
	expectation = regexp.MustCompile(`^# expect (\d{3})(?: or (\d{3}))?(?:, (\w+) (\S+) in the end)?$`)
	requestLine = regexp.MustCompile(`^(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) (\S+)$`)
	header      = regexp.MustCompile(`^([A-Za-z0-9-]+):\s*(.*)$`)
)

// Parse parses a file. Every request must have a title and an expectation.
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
				return fail("invalid expectation")
			}
			for _, s := range e[1:3] {
				if status, err := strconv.Atoi(s); err == nil {
					r.Expect.Statuses = append(r.Expect.Statuses, status)
				}
			}
			r.Expect.Field, r.Expect.Value = e[3], e[4]
		case strings.HasPrefix(line, "#"):
		case r != nil && r.Method == "" && match(requestLine) != nil:
			r.Method, r.URL = match(requestLine)[1], match(requestLine)[2]
		case r != nil && r.Method != "" && match(header) != nil:
			r.Header = append(r.Header, [2]string(match(header)[1:]))
		default:
			return fail("invalid line")
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
		return File{}, errors.New("there are no requests")
	}
	return f, nil
}

var placeholder = regexp.MustCompile(`\{\{(.+?)\}\}`)

// Fill replaces the variables of a text: those of the file, those of previous exchanges by the names of their requests, and
// $guid by the result of guid.
func (f File) Fill(text string, previous map[string]Exchange, guid func() string) (string, error) {
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSpace(found[2 : len(found)-2])
		if name == "$guid" {
			return guid()
		}
		if value, ok := f.Variables[name]; ok {
			return value
		}
		value, err := lookUp(name, previous)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", found, err)
		}
		return value
	})
	return filled, failed
}

// lookUp returns the value of a name such as place.response.body.$.id.
func lookUp(name string, previous map[string]Exchange) (string, error) {
	parts := strings.SplitN(name, ".", 4)
	x, ok := previous[parts[0]]
	if !ok || len(parts) < 4 {
		return "", errors.New("there is no such variable, and no previous request with this name")
	}
	headers, body := x.Header, x.Body
	if parts[1] == "request" {
		headers, body = x.RequestHeader, x.RequestBody
	}
	if parts[2] == "headers" {
		if value := headers.Get(parts[3]); value != "" {
			return value, nil
		}
		return "", errors.New("there is no such header")
	}
	if value, ok := Field(body, strings.TrimPrefix(parts[3], "$.")); ok {
		return value, nil
	}
	return "", fmt.Errorf("there is no such field in %s", body)
}

// Field returns a field of a JSON object as text. The path of a nested field is a.b.
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

// Matches reports whether a response is as expected.
func (e Expectation) Matches(status int, body []byte) bool {
	if !slices.Contains(e.Statuses, status) {
		return false
	}
	if e.Field == "" {
		return true
	}
	value, ok := Field(body, e.Field)
	return ok && value == e.Value
}
