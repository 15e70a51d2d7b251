// Package stackclient is an HTTP client for a running stack, with the requests of customers and operators.
package stackclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Stack has the addresses of a running stack.
type Stack struct {
	Order, Inventory, Payment, Shipping string // base URLs
	Processor, Carrier                  string // base URLs of the simulators' /ops endpoints
	Token                               string // the operators' token, for /ops
}

// Client calls a stack. Its methods may be called concurrently. Each blocks until there is a response, at most for thirty
// seconds, which is longer than the services' own timeout for a request.
type Client struct {
	stack Stack
	http  *http.Client
}

// New returns a client. Close it.
func New(stack Stack) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256 // many concurrent customers would use up the ports
	return NewWithTransport(stack, transport)
}

// NewWithTransport returns a client that sends its requests through transport. Close it.
func NewWithTransport(stack Stack, transport http.RoundTripper) *Client {
	return &Client{stack, &http.Client{
		Timeout:   30 * time.Second,
		Transport: transport,
		// A redirect must not send the token to another address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Stack returns the stack that the client calls.
func (c *Client) Stack() Stack { return c.stack }

// Response is the response to a request.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// StatusError is a response with an unexpected status.
type StatusError struct {
	Call     string
	Response Response
}

func (e *StatusError) Error() string {
	text := strings.TrimSpace(string(e.Response.Body))
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return fmt.Sprintf("%s: %d %s", e.Call, e.Response.Status, text)
}

// Do sends one request. A response of any status is not an error.
func (c *Client) Do(ctx context.Context, method, url string, body any, header ...string) (Response, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Response{}, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return Response{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(req.URL.Path, "/ops/") {
		req.Header.Set("Authorization", "Bearer "+c.stack.Token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Response{resp.StatusCode, resp.Header, b}, err
}

// Get decodes the JSON at url into a value. A status other than 200 is a *StatusError.
func (c *Client) Get(ctx context.Context, url string, into any) error {
	resp, err := c.Do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK {
		return &StatusError{"GET " + url, resp}
	}
	if err := json.Unmarshal(resp.Body, into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// CheckServices returns an error unless every service is ready.
func (c *Client) CheckServices(ctx context.Context) error {
	for _, url := range []string{c.stack.Order, c.stack.Inventory, c.stack.Payment, c.stack.Shipping} {
		if resp, err := c.Do(ctx, http.MethodGet, url+"/readyz", nil); err != nil {
			return fmt.Errorf("cannot reach the stack: %w", err)
		} else if resp.Status != http.StatusOK {
			return fmt.Errorf("the stack is not ready: %w", &StatusError{"GET " + url + "/readyz", resp})
		}
	}
	return nil
}

// CheckSimulators returns an error unless every simulator accepts the operators' token.
func (c *Client) CheckSimulators(ctx context.Context) error {
	for _, url := range []string{c.stack.Processor, c.stack.Carrier} {
		resp, err := c.Do(ctx, http.MethodGet, url+"/ops/faults", nil)
		switch {
		case err != nil:
			return fmt.Errorf("cannot reach a simulator: %w", err)
		case resp.Status == http.StatusUnauthorized:
			return fmt.Errorf("%s does not accept the operators' token", url)
		case resp.Status != http.StatusOK:
			return &StatusError{"GET " + url + "/ops/faults", resp}
		}
	}
	return nil
}

// ShouldRetry reports whether a repeated request may succeed.
func ShouldRetry(resp Response, err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) || resp.Status >= 500 || resp.Status == http.StatusConflict
}

// IsUnavailable reports whether err is a network error or a response with a 5xx status.
func IsUnavailable(err error) bool {
	var (
		network *url.Error
		status  *StatusError
	)
	return errors.As(err, &network) || errors.As(err, &status) && status.Response.Status >= 500
}
