// Package external is the client side of calls to an external system, such as a card processor or a carrier.
//
// It bounds what such a system can do to a service. A request is sent once: not again when its connection breaks, and not
// to the target of a redirect, which could be another server. A response is JSON of at most [MaxResponse] bytes, with at
// most [MaxHeader] bytes of headers; any other response is an error of the call. A proxy that cannot reach the system, or
// does not let the request through, is [events.Unavailable]. [Text] and [ValidID] are for the strings in a response: a
// database rejects some characters, and so would the handler be retried without end.
package external

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/quadrille-dev/quadrille/pkg/events"
)

const (
	// MaxResponse is the longest body of a response, in bytes.
	MaxResponse = 256 << 10
	// MaxHeader bounds the headers of a response, in bytes.
	MaxHeader = 64 << 10
	// MaxID is the longest id, in bytes.
	MaxID = 128
)

// NewTransport returns the transport of a client whose calls take at most timeout. The caller closes its idle connections.
func NewTransport(timeout time.Duration) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.MaxResponseHeaderBytes = MaxHeader
	transport.DialContext = (&net.Dialer{Timeout: timeout / 2}).DialContext // so that an unreachable address fails in the dial
	return transport
}

// NewClient returns a client whose calls take at most timeout each, and are traced.
func NewClient(transport *http.Transport, timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: otelhttp.NewTransport(strictTransport{transport})}
}

// strictTransport sends a request once, and returns an error for a response that the client would misread.
type strictTransport struct{ *http.Transport }

func (t strictTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	once := *r
	once.GetBody = nil // with it, net/http repeats a request that has an idempotency key when its connection breaks
	response, err := t.Transport.RoundTrip(&once)
	if err != nil {
		return nil, err
	}
	if err := check(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	response.Body = &boundedBody{response.Body, MaxResponse}
	return response, nil
}

func check(response *http.Response) error {
	contentType := response.Header.Get("Content-Type")
	isJSON := strings.Contains(contentType, "json")
	switch status := response.StatusCode; {
	case status >= 300 && status < 400:
		return fmt.Errorf("redirect with status %d is not followed", status)
	case !isJSON && fromProxy(status):
		return events.Unavailable(fmt.Errorf("proxy returned status %d", status))
	case !isJSON:
		return fmt.Errorf("response with status %d is not JSON but %q", status, Text(contentType, 100))
	case response.ContentLength > MaxResponse:
		return errTooLong
	default:
		return nil
	}
}

// fromProxy reports whether a proxy returns this status for every request alike.
func fromProxy(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

var errTooLong = fmt.Errorf("response has more than %d bytes", MaxResponse)

// boundedBody returns errTooLong instead of the end of a body that is too long.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// NeverSent reports whether err is that of a request that was never sent, because no connection was made.
func NeverSent(err error) bool {
	network, ok := errors.AsType[*net.OpError](err)
	return ok && network.Op == "dial"
}

// Text returns s as one line that every database stores and every terminal shows: at most n characters, valid UTF-8, with
// a space for each character that cannot be printed.
func Text(s string, n int) string {
	if len(s) > n*4 { // no character has more bytes
		s = s[:n*4]
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

// ValidID reports whether s can be an id: 1 to [MaxID] letters, digits, and the characters "_-.:" after the first one.
func ValidID(s string) bool {
	if s == "" || len(s) > MaxID || strings.IndexByte("_-.:", s[0]) >= 0 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("_-.:", c) < 0 {
			return false
		}
	}
	return true
}
