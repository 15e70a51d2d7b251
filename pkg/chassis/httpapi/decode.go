package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeJSON reads the request's body into v, by the rules of encoding/json/v2: names match exactly, none is there twice, and
// all text is UTF-8. A whole number may be written with a fraction of zero or an exponent, as in JSON Schema. It returns a
// [*Problem]: 415 if the body is not declared as JSON in UTF-8, 413 if it is larger than the router allows, 400 if it is not
// exactly one JSON value, has a field that v does not, or a value of the wrong type, naming the field. The caller checks the
// values.
func DecodeJSON(c *gin.Context, v any) error { return decode(c, v, json.RejectUnknownMembers(true)) }

// DecodeWebhook is [DecodeJSON] for senders that may add fields at any time: unknown fields are ignored.
func DecodeWebhook(c *gin.Context, v any) error { return decode(c, v) }

func decode(c *gin.Context, v any, opts ...json.Options) error {
	mediaType, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	charset, given := params["charset"]
	if err != nil || mediaType != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type",
			"The body has an unsupported type", "Content-Type must be application/json, in UTF-8.")
	}
	body, err := ReadBody(c)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return BadRequest("The body is empty.")
	}
	if err := json.Unmarshal(body, v, append(opts, json.WithUnmarshalers(wholeNumbers))...); err != nil {
		return undecodable(err)
	}
	return nil
}

func undecodable(err error) *Problem {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return BadRequest("The body ends in the middle of its JSON.")
	case errors.As(err, &syntax):
		return badSyntax(syntax)
	case errors.As(err, &semantic):
		return badValue(semantic)
	}
	return BadRequest("A field has an unacceptable value.").Because(err)
}

func badSyntax(err *jsontext.SyntacticError) *Problem {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return BadRequest("A field is given twice.", FieldError{memberField(err.JSONPointer), "is given twice"})
	}
	p := BadRequest(fmt.Sprintf("The body is not JSON in UTF-8 from byte %d on.", err.ByteOffset))
	if err.JSONPointer != "" {
		p.Errors = []FieldError{{valueField(err.JSONPointer), "has " + err.Err.Error()}}
	}
	return p
}

func badValue(err *json.SemanticError) *Problem {
	kind := jsonKinds[err.JSONKind]
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return BadRequest("A field is unknown.", FieldError{memberField(err.JSONPointer), "is unknown"})
	case err.JSONPointer == "":
		return BadRequest("The body must not be a JSON " + kind + ".").Because(err)
	case err.JSONKind == jsontext.KindNumber && err.Err != nil:
		return BadRequest("A field has an unacceptable number.",
			FieldError{valueField(err.JSONPointer), "must be a whole number that is not too large"})
	case err.Err != nil:
		// Errors of UnmarshalJSON methods, whose text was not written for clients.
		return BadRequest("A field has an unacceptable value.",
			FieldError{valueField(err.JSONPointer), "has an unacceptable value"}).Because(err)
	}
	return BadRequest("A field has the wrong type.", FieldError{valueField(err.JSONPointer), "must not be a JSON " + kind})
}

var jsonKinds = map[jsontext.Kind]string{
	jsontext.KindNull: "null", jsontext.KindFalse: "boolean", jsontext.KindTrue: "boolean", jsontext.KindString: "string",
	jsontext.KindNumber: "number", jsontext.KindBeginObject: "object", jsontext.KindBeginArray: "array",
}

// valueField returns the name of the field at a pointer: items[0].quantity for /items/0/quantity.
func valueField(pointer jsontext.Pointer) string {
	var b strings.Builder
	for token := range pointer.Tokens() {
		_, err := strconv.ParseUint(token, 10, 64)
		switch {
		case err == nil:
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return shorten(b.String())
}

// memberField is valueField for a pointer to a member of an object, whose name can be a number.
func memberField(pointer jsontext.Pointer) string {
	if parent := valueField(pointer.Parent()); parent != "" {
		return shorten(parent + "." + pointer.LastToken())
	}
	return shorten(pointer.LastToken())
}

// shorten limits what a response repeats of a name that the client made up.
func shorten(field string) string {
	const most = 200 // bytes
	if len(field) <= most {
		return field
	}
	return strings.ToValidUTF8(field[:most], "") + "…"
}

// wholeNumbers accepts 1.0 and 1e0 wherever 1 is. It is for the integers that bodies have: int and int64.
var wholeNumbers = json.JoinUnmarshalers(
	json.UnmarshalFromFunc(decodeWhole[int]), json.UnmarshalFromFunc(decodeWhole[int64]))

func decodeWhole[T int | int64](d *jsontext.Decoder, v *T) error {
	if d.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported
	}
	number, err := d.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(whole(string(number)), 10, 64)
	if err == nil && int64(T(n)) != n {
		err = strconv.ErrRange
	}
	if err != nil {
		return &json.SemanticError{JSONKind: jsontext.KindNumber, Err: err}
	}
	*v = T(n)
	return nil
}

// whole returns a JSON number without fraction and exponent. A number that is not whole, or has more digits than an int64, is
// returned as it is, or as text that is no int64.
func whole(number string) string {
	const mostDigits = 19
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	integer, fraction, _ := strings.Cut(mantissa, ".")
	if integer == number {
		return number
	}
	digits := strings.TrimRight(integer+fraction, "0")
	if strings.Trim(digits, "-0") == "" {
		return "0"
	}
	power := 0
	if exponent != "" {
		var err error
		if power, err = strconv.Atoi(exponent); err != nil {
			return number
		}
	}
	zeros := power + len(integer) - len(digits)
	if zeros < 0 || zeros > mostDigits {
		return number
	}
	return digits + strings.Repeat("0", zeros)
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
