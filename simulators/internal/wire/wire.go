// Package wire is how the simulators speak HTTP: bodies in are bounded and strict, bodies out are JSON, and a connection
// can be cut so that the client notices.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the longest request body taken, in bytes.
const MaxBody = 64 << 10

// ReadBody reads the whole body, at most MaxBody. Reading it to its end is also what lets net/http notice that the
// client went away while a request is held.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return body, nil
}

// ReadJSON decodes the body, which must be one JSON value without fields that into does not have.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read the body: something follows the JSON value")
	}
	return nil
}

// Status is 413 if err says that a body was too long, else otherwise.
func Status(err error, otherwise int) int {
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge
	}
	return otherwise
}

// WriteJSON answers with body. An error while writing means that the client is gone, and nobody is left to tell.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n'))
}

// Error is the body of a refusal.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// WriteError answers with an Error.
func WriteError(w http.ResponseWriter, status int, code, detail string) {
	WriteJSON(w, status, Error{Code: code, Detail: detail})
}

// HangUp cuts the connection in the middle of the status line. Cutting it before would be hidden from the caller at
// random: on a reused connection Go's client sends a request with an Idempotency-Key again by itself, unless it has seen
// the first byte of an answer.
func HangUp(w http.ResponseWriter) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = buffer.WriteString("HTTP/1.1")
	_ = buffer.Flush()
	_ = conn.Close()
}
