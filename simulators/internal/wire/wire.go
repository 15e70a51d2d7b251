// Package wire reads and writes the HTTP bodies of the simulators. Request bodies are bounded, JSON is decoded
// strictly, and Disconnect closes a connection in a way that every client notices.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/quadrille-dev/quadrille/simulators/internal/faults"
)

// MaxBody is the maximum length of a request body, in bytes.
const MaxBody = 64 << 10

// ReadBody reads the whole body, at most MaxBody. net/http detects that a client disconnects only after the body was
// read, so a handler calls ReadBody before it pauses a request.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return body, nil
}

// ReadJSON decodes the body into v. The body must be one JSON value, without fields that v does not have.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read body: unexpected data after the JSON value")
	}
	return nil
}

// StatusFor returns 413 if err reports that a body was too long, and otherwise the given status.
func StatusFor(err error, otherwise int) int {
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge
	}
	return otherwise
}

// Interrupt disconnects, or responds with nonsense, if the decision is to do so, and reports whether it did.
func Interrupt(w http.ResponseWriter, decision faults.Decision) bool {
	switch decision {
	case faults.Disconnect:
		Disconnect(w)
	case faults.RespondNonsense:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Injected fault: this page is not of the API.</html>\n")
	default:
		return false
	}
	return true
}

// WriteJSON writes a response. It ignores write errors, because they mean that the client has disconnected.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n'))
}

// Error is the body of an error response.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// WriteError writes an error response with an Error as its body.
func WriteError(w http.ResponseWriter, status int, code, detail string) {
	WriteJSON(w, status, Error{Code: code, Detail: detail})
}

// Disconnect closes the connection in the middle of the status line. If it closed the connection before the first byte,
// some callers would not notice: on a reused connection, Go's client repeats a request that has an Idempotency-Key
// unless it has received a byte of the response.
func Disconnect(w http.ResponseWriter) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = buffer.WriteString("HTTP/1.1")
	_ = buffer.Flush()
	_ = conn.Close()
}
