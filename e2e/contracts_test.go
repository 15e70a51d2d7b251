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

// contracts are the OpenAPI documents of a stack's services, and all violations of them so far.
type contracts struct {
	byURL map[string]*apicheck.Contract

	mu         sync.Mutex
	violations []error
}

// loadContracts reads /openapi.json of the four services, which must be ready.
func (s *Stack) loadContracts(ctx context.Context) error {
	s.contracts = &contracts{byURL: map[string]*apicheck.Contract{}}
	for _, base := range s.services() {
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
			s.contracts.byURL[base], err = apicheck.New(document)
		}
		if err != nil {
			return fmt.Errorf("%s/openapi.json: %w", base, err)
		}
	}
	return nil
}

// forStack returns the documents of the shared stack for the services of another one.
func (c *contracts) forStack(s *Stack) *contracts {
	of := &contracts{byURL: map[string]*apicheck.Contract{}}
	shared := stack.services()
	for i, url := range s.services() {
		of.byURL[url] = c.byURL[shared[i]]
	}
	return of
}

// check checks an exchange with a service against its document. It also records a violation, so that the suite fails if the
// test does not look at the response.
func (c *contracts) check(x apicheck.Exchange) error {
	for base, contract := range c.byURL {
		if !strings.HasPrefix(x.Request.URL.String(), base+"/") {
			continue
		}
		if err := contract.Check(x); err != nil {
			c.record(err)
			return err
		}
	}
	return nil
}

// record keeps each violation once.
func (c *contracts) record(violation error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.violations, func(known error) bool { return known.Error() == violation.Error() }) {
		c.violations = append(c.violations, violation)
	}
}

// err returns the first violations, or nil.
func (c *contracts) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const limit = 10
	if len(c.violations) > limit {
		return errors.Join(append(c.violations[:limit:limit], fmt.Errorf("and %d more", len(c.violations)-limit))...)
	}
	return errors.Join(c.violations...)
}
