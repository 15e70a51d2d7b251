package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/quadrille-dev/quadrille/e2e/apicheck"
)

// promises are what the services say of themselves at /openapi.json, and every way in which they broke it.
type promises struct {
	byBase map[string]*apicheck.Contract

	mu     sync.Mutex
	broken []error
}

// readPromises asks the four services, which must be ready.
func (s *Shop) readPromises(ctx context.Context) error {
	s.promises = &promises{byBase: map[string]*apicheck.Contract{}}
	for _, base := range []string{s.Order, s.Inventory, s.Payment, s.Shipping} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/openapi.json", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		document, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			s.promises.byBase[base], err = apicheck.New(document)
		}
		if err != nil {
			return fmt.Errorf("%s/openapi.json: %w", base, err)
		}
	}
	return nil
}

// of promises the same of another shop's services.
func (p *promises) of(s *Shop) *promises {
	return &promises{byBase: map[string]*apicheck.Contract{
		s.Order: p.byBase[shop.Order], s.Inventory: p.byBase[shop.Inventory],
		s.Payment: p.byBase[shop.Payment], s.Shipping: p.byBase[shop.Shipping],
	}}
}

// check holds an exchange with a service against its document. What is wrong is remembered as well: not every test looks
// at every answer on its way to the right one, but in the end the suite must fail.
func (p *promises) check(x apicheck.Exchange) error {
	for base, contract := range p.byBase {
		if !strings.HasPrefix(x.Request.URL.String(), base+"/") {
			continue
		}
		if err := contract.Check(x); err != nil {
			p.remember(err)
			return err
		}
	}
	return nil
}

// remember keeps every violation once.
func (p *promises) remember(violation error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.ContainsFunc(p.broken, func(known error) bool { return known.Error() == violation.Error() }) {
		p.broken = append(p.broken, violation)
	}
}

// err is everything that was broken so far.
func (p *promises) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	const enough = 10
	if len(p.broken) > enough {
		return errors.Join(append(p.broken[:enough:enough], fmt.Errorf("and %d more", len(p.broken)-enough))...)
	}
	return errors.Join(p.broken...)
}
