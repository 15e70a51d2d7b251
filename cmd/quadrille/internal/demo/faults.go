package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// rule is a switch of a simulator; see its operators' manual.
type rule struct {
	Match  match  `json:"match"`
	Action string `json:"action"`
	When   string `json:"when,omitempty"`
}

type match struct {
	Operation string `json:"operation,omitempty"`
	OrderID   string `json:"orderId,omitempty"`
}

// fault is a rule in force, until it is mended.
type fault struct {
	client   *client
	switches string
	id       string
	mended   bool
}

// breaks switches a rule on. The stage mends it at the latest when the story ends.
func (s *stage) breaks(ctx context.Context, simulator string, r rule) (*fault, error) {
	f := &fault{client: s.client, switches: simulator + "/ops/faults"}
	a, err := s.client.Do(ctx, http.MethodPost, f.switches, r)
	if err != nil {
		return nil, fmt.Errorf("switch a fault on: %w", err)
	}
	var made struct {
		ID string `json:"id"`
	}
	if a.Status != http.StatusCreated || json.Unmarshal(a.Body, &made) != nil {
		return nil, &stackclient.StatusError{Call: "POST " + f.switches, Answer: a}
	}
	f.id = made.ID
	s.faults = append(s.faults, f)
	return f, nil
}

// mend switches the rule off. It is no error if it is gone already.
func (f *fault) mend(ctx context.Context) error {
	if f.mended {
		return nil
	}
	a, err := f.client.Do(ctx, http.MethodDelete, f.switches+"/"+f.id, nil)
	if err != nil {
		return fmt.Errorf("switch a fault off: %w", err)
	}
	if a.Status != http.StatusNoContent && a.Status != http.StatusNotFound {
		return &stackclient.StatusError{Call: "DELETE " + f.switches, Answer: a}
	}
	f.mended = true
	return nil
}

// mendAll leaves nothing broken, also if ctx has ended.
func (s *stage) mendAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	for _, f := range s.faults {
		err := f.mend(ctx)
		for pause := 100 * time.Millisecond; err != nil && stackclient.Sleep(ctx, pause) == nil; pause *= 2 {
			err = f.mend(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// happened blocks until the fault has acted.
func (s *stage) happened(ctx context.Context, f *fault, what string) error {
	return s.eventually(ctx, what, func(ctx context.Context) (bool, string, error) {
		var all struct {
			Rules []struct {
				ID    string `json:"id"`
				Fired int    `json:"fired"`
			} `json:"faults"`
		}
		if err := s.client.Get(ctx, f.switches, &all); err != nil {
			return false, "", err
		}
		for _, r := range all.Rules {
			if r.ID == f.id {
				return r.Fired > 0, "", nil
			}
		}
		return false, "", errors.New("the fault is not switched on any more")
	})
}

// placeInto places the order and holds, for this order only, the operation of a simulator. An order's id is known once
// it is placed, and by then the shop is at work; so for those few milliseconds gate, an operation that comes no later,
// is held for everybody.
func (s *stage) placeInto(ctx context.Context, req stackclient.OrderRequest, simulator, gate string, r rule) (*fault, error) {
	door, err := s.breaks(ctx, simulator, rule{Match: match{Operation: gate}, Action: "pause"})
	if err != nil {
		return nil, err
	}
	if err := s.place(ctx, req); err != nil {
		return nil, err
	}
	r.Match.OrderID = s.id()
	f, err := s.breaks(ctx, simulator, r)
	if err != nil {
		return nil, err
	}
	return f, door.mend(ctx)
}
