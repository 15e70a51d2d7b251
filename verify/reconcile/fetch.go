package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// The limits of one response.
	fetchLimit = 30 * time.Second
	bodyLimit  = 1 << 30
)

// CheckURL returns an error unless raw is a base URL.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:8081", raw)
	}
	return nil
}

// fetch reads all snapshots concurrently. It blocks until every request has succeeded or failed.
func (c *Checker) fetch(ctx context.Context) snapshots {
	var (
		b  = snapshots{at: c.cfg.Now()}
		mu sync.Mutex
		wg sync.WaitGroup
	)
	read := func(source string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				var no *permanentError
				mu.Lock()
				defer mu.Unlock()
				b.missing = append(b.missing, gap{source, err, errors.As(err, &no)})
			}
		})
	}
	read(Order, func() (err error) {
		b.order, err = fetchServiceSnapshot(ctx, c, Order, func(e orderEntries) bool { return e.Orders != nil })
		return err
	})
	read(Inventory, func() (err error) {
		b.inventory, err = fetchServiceSnapshot(ctx, c, Inventory, func(e inventoryEntries) bool { return e.Products != nil && e.Reservations != nil })
		return err
	})
	read(Payment, func() (err error) {
		b.payment, err = fetchServiceSnapshot(ctx, c, Payment, func(e paymentEntries) bool { return e.Payments != nil })
		return err
	})
	read(Shipping, func() (err error) {
		b.shipping, err = fetchServiceSnapshot(ctx, c, Shipping, func(e shippingEntries) bool { return e.Shipments != nil })
		return err
	})
	read(Processor, func() (err error) {
		b.processor, err = fetchSnapshot(ctx, c, Processor, func(p *processorSnapshot) bool { return p.PaymentIntents != nil })
		return err
	})
	read(Carrier, func() (err error) {
		b.carrier, err = fetchSnapshot(ctx, c, Carrier, func(s *carrierSnapshot) bool { return s.Shipments != nil })
		return err
	})
	if c.cfg.Depths != nil && len(c.cfg.Orders) == 0 {
		read(broker, func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, fetchLimit)
			defer cancel()
			b.depths, err = c.cfg.Depths(ctx)
			return err
		})
	}
	wg.Wait()
	return b
}

// permanentError is an error that another request would return as well.
type permanentError struct{ reason string }

func (e *permanentError) Error() string { return e.reason }

func fetchServiceSnapshot[E any](ctx context.Context, c *Checker, service string, hasEntries func(E) bool) (*serviceSnapshot[E], error) {
	b, err := fetchSnapshot(ctx, c, service, func(b *serviceSnapshot[E]) bool {
		return b.Service != service || complete(b.Events) && hasEntries(b.Entries)
	})
	if err == nil && b.Service != service {
		return nil, &permanentError{fmt.Sprintf("%s serves the audit snapshot of %q", c.cfg.URLs[service], b.Service)}
	}
	return b, err
}

func fetchSnapshot[S any](ctx context.Context, c *Checker, source string, hasLists func(*S) bool) (*S, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	address := strings.TrimSuffix(c.cfg.URLs[source], "/") + "/ops/audit"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return nil, &permanentError{fmt.Sprintf("%s does not accept the token (%s)", address, response.Status)}
	case response.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%s responded with %s", address, response.Status)
	case response.StatusCode != http.StatusOK:
		return nil, &permanentError{fmt.Sprintf("%s responded with %s", address, response.Status)}
	}
	body := &io.LimitedReader{R: response.Body, N: bodyLimit}
	snapshot := new(S)
	if err := json.NewDecoder(body).Decode(snapshot); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case body.N == 0:
			return nil, &permanentError{fmt.Sprintf("%s responded with more than %d bytes", address, bodyLimit)}
		case errors.As(err, &syntax), errors.As(err, &kind):
			return nil, &permanentError{fmt.Sprintf("%s does not serve the audit snapshot of %s: %v", address, source, err)}
		}
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if !hasLists(snapshot) {
		return nil, &permanentError{fmt.Sprintf("%s does not serve the audit snapshot of %s: lists are missing", address, source)}
	}
	return snapshot, nil
}

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &http.Client{
		Transport: transport,
		// A redirect must not send the token to another address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
