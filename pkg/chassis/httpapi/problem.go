package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ProblemBase is what the stable type URI of every problem begins with.
const ProblemBase = "https://quadrille.dev/problems/"

// Problem is an error for clients, in the form of RFC 9457 problem details. Handlers return it; [Handle] writes
// it and fills Instance and CorrelationID. Create it with [NewProblem] or one of the shorter constructors.
type Problem struct {
	// Type is a URI that stays the same for one kind of problem; programs look at this.
	Type string `json:"type"`
	// Title names the kind of problem for people; it is the same for every occurrence.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail explains this occurrence.
	Detail string `json:"detail,omitempty"`
	// Instance is the path of the request, escaped as received.
	Instance string `json:"instance,omitempty"`
	// CorrelationID finds this occurrence in logs and events.
	CorrelationID string `json:"correlationId,omitempty"`
	// Errors lists every wrong field.
	Errors []FieldError `json:"errors,omitempty"`

	retryAfter time.Duration
	cause      error
}

// FieldError describes the mistake in one field of a request, named as in its JSON: items[0].quantity.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// NewProblem returns a problem of a new kind: slug ends the type URI and, like title, is the same every time.
func NewProblem(status int, slug, title, detail string) *Problem {
	return &Problem{Type: ProblemBase + slug, Title: title, Status: status, Detail: detail}
}

// BadRequest returns a problem for a request that is malformed (400).
func BadRequest(detail string, fields ...FieldError) *Problem {
	p := NewProblem(http.StatusBadRequest, "bad-request", "The request cannot be understood", detail)
	p.Errors = fields
	return p
}

// NotFound returns a problem for a resource that does not exist (404).
func NotFound(detail string) *Problem {
	return NewProblem(http.StatusNotFound, "not-found", "There is no such thing", detail)
}

// Conflict returns a problem for a request that the current state does not allow (409).
func Conflict(detail string) *Problem {
	return NewProblem(http.StatusConflict, "conflict", "The current state does not allow this", detail)
}

// Unprocessable returns a problem for a request with unacceptable values in these fields (422).
func Unprocessable(fields ...FieldError) *Problem {
	p := NewProblem(http.StatusUnprocessableEntity, "unprocessable", "The request has unacceptable contents", "")
	p.Errors = fields
	return p
}

// Unavailable returns a problem for a request that can succeed later, after retryAfter (503).
func Unavailable(detail string, retryAfter time.Duration) *Problem {
	p := NewProblem(http.StatusServiceUnavailable, "unavailable", "The service cannot do this right now", detail)
	p.retryAfter = retryAfter
	return p
}

func internalError(cause error) *Problem {
	p := NewProblem(http.StatusInternalServerError, "internal", "Something went wrong on our side", "")
	p.cause = cause
	return p
}

// Because records the cause for the log and for errors.Is; the client does not see it.
func (p *Problem) Because(cause error) *Problem {
	p.cause = cause
	return p
}

// Error returns the whole problem with its cause, for logs.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, strings.TrimPrefix(p.Type, ProblemBase))
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s %s", e.Field, e.Detail)
	}
	if p.cause != nil {
		b.WriteString(": " + p.cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
