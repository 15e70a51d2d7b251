package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// DecodeJSON reads the request's body into v. It returns a [*Problem]: 415 if the body is not declared as JSON, 413 if
// it is larger than the router allows, 400 if it is not exactly one JSON value, has a field that v does not, or a value
// of the wrong type, naming the field. The caller checks the values.
func DecodeJSON(c *gin.Context, v any) error {
	mediaType, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type",
			"The body has an unsupported type", "Content-Type must be application/json.")
	}
	body, err := ReadBody(c)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return undecodable(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return BadRequest("The body has something after its JSON value.")
	}
	return nil
}

func undecodable(err error) *Problem {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return BadRequest("The body is empty.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return BadRequest("The body ends in the middle of its JSON.")
	case errors.As(err, &syntax):
		return BadRequest(fmt.Sprintf("The body is not JSON from byte %d on.", syntax.Offset))
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return BadRequest(fmt.Sprintf("The body must not be a JSON %s.", wrongType.Value))
	case errors.As(err, &wrongType):
		return BadRequest("A field has the wrong type.",
			FieldError{Field: wrongType.Field, Detail: "must not be a JSON " + wrongType.Value})
	}
	// The decoder has no type for this error, only a message.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return BadRequest("A field is unknown.", FieldError{Field: strings.Trim(name, `"`), Detail: "is unknown"})
	}
	// What remains are errors of UnmarshalJSON methods, whose text was not written for clients.
	return BadRequest("A field has an unacceptable value.").Because(err)
}

const bodyKey = "chassis.body"

// ReadBody returns the request's body. It can be called more than once for a request. It returns a [*Problem]: 413 if the body
// is larger than the router allows, 400 if the client does not send all of it.
func ReadBody(c *gin.Context) ([]byte, error) {
	if body, ok := c.Get(bodyKey); ok {
		return body.([]byte), nil
	}
	body, err := readAll(c.Request)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, bodyTooLarge(tooLarge.Limit)
	case err != nil:
		return nil, unreadable(err)
	}
	c.Set(bodyKey, body)
	return body, nil
}

// readAll allocates a declared length once. io.ReadAll allocates a multiple of it.
func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

func bodyTooLarge(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge, "body-too-large", "The body is too large",
		fmt.Sprintf("A body may have up to %d bytes.", limit))
}
