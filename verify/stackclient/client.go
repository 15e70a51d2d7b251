// Package stackclient speaks to a running shop over HTTP, as its customers and its operators do.
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

// Shop is where a running shop is.
type Shop struct {
	Order, Inventory, Payment, Shipping string // base URLs
	Processor, Carrier                  string // the simulators' operator URLs
	Token                               string // opens what is for operators
}

// Client asks the shop. Its methods may be called at the same time; each blocks until there is an answer, for thirty
// seconds at most: longer than a service works at a request, so that it is the service who says that it took too long.
type Client struct {
	shop Shop
	http *http.Client
}

// New makes a client; Close it.
func New(shop Shop) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256 // a crowd of customers would wear out the ports
	return NewVia(shop, transport)
}

// NewVia is New with a way of one's own to the shop.
func NewVia(shop Shop, way http.RoundTripper) *Client {
	return &Client{shop, &http.Client{
		Timeout:   30 * time.Second,
		Transport: way,
		// The token is for the address that was given.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Shop is where it asks.
func (c *Client) Shop() Shop { return c.shop }

// Answer is what the shop said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// StatusError is an answer that was not hoped for.
type StatusError struct {
	Call   string
	Answer Answer
}

func (e *StatusError) Error() string {
	text := strings.TrimSpace(string(e.Answer.Body))
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return fmt.Sprintf("%s: %d %s", e.Call, e.Answer.Status, text)
}

// Do sends one request. An answer of any status is no error.
func (c *Client) Do(ctx context.Context, method, url string, body any, header ...string) (Answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(req.URL.Path, "/ops/") {
		req.Header.Set("Authorization", "Bearer "+c.shop.Token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, b}, err
}

// Get reads JSON.
func (c *Client) Get(ctx context.Context, url string, into any) error {
	a, err := c.Do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return &StatusError{"GET " + url, a}
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// CheckServices asks every service whether it is ready.
func (c *Client) CheckServices(ctx context.Context) error {
	for _, url := range []string{c.shop.Order, c.shop.Inventory, c.shop.Payment, c.shop.Shipping} {
		if a, err := c.Do(ctx, http.MethodGet, url+"/readyz", nil); err != nil {
			return fmt.Errorf("no shop there: %w", err)
		} else if a.Status != http.StatusOK {
			return fmt.Errorf("the shop is not ready: %w", &StatusError{"GET " + url + "/readyz", a})
		}
	}
	return nil
}

// CheckSimulators asks every simulator for what operators may see, so that a wrong address or token is said early.
func (c *Client) CheckSimulators(ctx context.Context) error {
	for _, url := range []string{c.shop.Processor, c.shop.Carrier} {
		a, err := c.Do(ctx, http.MethodGet, url+"/ops/faults", nil)
		switch {
		case err != nil:
			return fmt.Errorf("no simulator there: %w", err)
		case a.Status == http.StatusUnauthorized:
			return fmt.Errorf("%s does not accept the operators' token", url)
		case a.Status != http.StatusOK:
			return &StatusError{"GET " + url + "/ops/faults", a}
		}
	}
	return nil
}

// Passing says whether asking again may help.
func Passing(a Answer, err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) || a.Status >= 500 || a.Status == http.StatusConflict
}

// Away says that nobody answered, or that whoever answered could not help at the moment.
func Away(err error) bool {
	var (
		network *url.Error
		status  *StatusError
	)
	return errors.As(err, &network) || errors.As(err, &status) && status.Answer.Status >= 500
}
