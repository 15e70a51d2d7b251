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
	// fetchLimit bounds one answer in time, bodyLimit in size.
	fetchLimit = 30 * time.Second
	bodyLimit  = 1 << 30
)

// CheckURL says what is wrong with the address of a party.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:8081", raw)
	}
	return nil
}

// fetch reads all books at the same time. It blocks until each has come or failed.
func (l *Ledger) fetch(ctx context.Context) books {
	var (
		b  = books{at: l.cfg.Now()}
		mu sync.Mutex
		wg sync.WaitGroup
	)
	read := func(party string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				var no *refusedError
				mu.Lock()
				defer mu.Unlock()
				b.missing = append(b.missing, gap{party, err, errors.As(err, &no)})
			}
		})
	}
	read(Order, func() (err error) {
		b.order, err = serviceBookOf(ctx, l, Order, func(e orderEntries) bool { return e.Orders.given })
		return err
	})
	read(Inventory, func() (err error) {
		b.inventory, err = serviceBookOf(ctx, l, Inventory, func(e inventoryEntries) bool { return e.Products.given && e.Reservations.given })
		return err
	})
	read(Payment, func() (err error) {
		b.payment, err = serviceBookOf(ctx, l, Payment, func(e paymentEntries) bool { return e.Payments.given })
		return err
	})
	read(Shipping, func() (err error) {
		b.shipping, err = serviceBookOf(ctx, l, Shipping, func(e shippingEntries) bool { return e.Shipments.given })
		return err
	})
	read(Processor, func() (err error) {
		b.processor, err = bookOf(ctx, l, Processor, func(p *processorBook) bool { return p.PaymentIntents.given })
		return err
	})
	read(Carrier, func() (err error) {
		b.carrier, err = bookOf(ctx, l, Carrier, func(c *carrierBook) bool { return c.Shipments.given })
		return err
	})
	if l.cfg.Depths != nil && len(l.cfg.Orders) == 0 {
		read(broker, func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, fetchLimit)
			defer cancel()
			b.depths, err = l.cfg.Depths(ctx)
			return err
		})
	}
	wg.Wait()
	return b
}

// refusedError is an answer that will be the same next time.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

func serviceBookOf[E any](ctx context.Context, l *Ledger, service string, complete func(E) bool) (*serviceBook[E], error) {
	b, err := bookOf(ctx, l, service, func(b *serviceBook[E]) bool {
		return b.Service != service || b.Events.lacks() == "" && complete(b.Entries)
	})
	if err == nil && b.Service != service {
		return nil, &refusedError{fmt.Sprintf("%s serves the books of %q", l.cfg.URLs[service], b.Service)}
	}
	return b, err
}

func bookOf[B any](ctx context.Context, l *Ledger, party string, complete func(*B) bool) (*B, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	address := strings.TrimSuffix(l.cfg.URLs[party], "/") + "/ops/audit"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.cfg.Token)
	answer, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return nil, &refusedError{fmt.Sprintf("%s does not accept the token (%s)", address, answer.Status)}
	case answer.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%s answers %s", address, answer.Status)
	case answer.StatusCode != http.StatusOK:
		return nil, &refusedError{fmt.Sprintf("%s answers %s", address, answer.Status)}
	}
	body := &io.LimitedReader{R: answer.Body, N: bodyLimit}
	book := new(B)
	if err := json.NewDecoder(body).Decode(book); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case body.N == 0:
			return nil, &refusedError{fmt.Sprintf("%s answers more than %d bytes", address, bodyLimit)}
		case errors.As(err, &syntax), errors.As(err, &kind):
			return nil, &refusedError{fmt.Sprintf("%s does not serve %s's books: %v", address, party, err)}
		}
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if !complete(book) {
		return nil, &refusedError{fmt.Sprintf("%s does not serve %s's books: lists are missing", address, party)}
	}
	return book, nil
}

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &http.Client{
		Transport: transport,
		// The token is for the address that was given.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
