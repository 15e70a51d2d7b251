package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Shop is a running shop as its customers and operators reach it.
type Shop struct {
	Order, Inventory, Payment, Shipping string // base URLs
	Processor, Carrier                  string // the simulators' operator URLs
	Token                               string // opens what is for operators

	// Kill ends the whole shop without warning, and Start brings it back with the same data and addresses. Both are nil
	// if it cannot be killed from here.
	Kill, Start func(ctx context.Context) error
}

// client asks the shop.
type client struct {
	shop Shop
	http *http.Client
}

func newClient(shop Shop) *client {
	return &client{shop, &http.Client{
		Timeout:   10 * time.Second,
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// The token is for the address that was given.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

type answer struct {
	status int
	header http.Header
	body   []byte
}

// statusError is an answer that was not hoped for.
type statusError struct {
	call   string
	answer answer
}

func (e *statusError) Error() string {
	text := strings.TrimSpace(string(e.answer.body))
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return fmt.Sprintf("%s: %d %s", e.call, e.answer.status, text)
}

// do sends one request. An answer of any status is no error.
func (c *client) do(ctx context.Context, method, url string, body any, header ...string) (answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return answer{}, err
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
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// get reads JSON.
func (c *client) get(ctx context.Context, url string, into any) error {
	a, err := c.do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return &statusError{"GET " + url, a}
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// check asks everybody once, so that a wrong address or token is said before the first story.
func (c *client) check(ctx context.Context) error {
	for _, url := range []string{c.shop.Order, c.shop.Inventory, c.shop.Payment, c.shop.Shipping} {
		if a, err := c.do(ctx, http.MethodGet, url+"/readyz", nil); err != nil {
			return fmt.Errorf("no shop there: %w", err)
		} else if a.status != http.StatusOK {
			return fmt.Errorf("the shop is not ready: %w", &statusError{"GET " + url + "/readyz", a})
		}
	}
	for _, url := range []string{c.shop.Processor, c.shop.Carrier} {
		a, err := c.do(ctx, http.MethodGet, url+"/ops/switches", nil)
		switch {
		case err != nil:
			return fmt.Errorf("no simulator there: %w", err)
		case a.status == http.StatusUnauthorized:
			return fmt.Errorf("%s does not accept the operators' token", url)
		case a.status != http.StatusOK:
			return &statusError{"GET " + url + "/ops/switches", a}
		}
	}
	return nil
}

// passing says whether asking again may help.
func passing(a answer, err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) || a.status >= 500 || a.status == http.StatusConflict
}
