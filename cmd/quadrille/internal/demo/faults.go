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

// fault is what a simulator does wrong, as its /ops/faults describes it.
type fault struct {
	Match  match  `json:"match"`
	Action string `json:"action"`
	When   string `json:"when,omitempty"`
}

type match struct {
	Operation string `json:"operation,omitempty"`
	OrderID   string `json:"orderId,omitempty"`
}

// injectedFault is a fault that is in force until it is removed.
type injectedFault struct {
	client  *client
	url     string
	id      string
	removed bool
}

// inject adds a fault to a simulator. The runner removes it at the end of the story, if the story does not.
func (r *runner) inject(ctx context.Context, simulator string, f fault) (*injectedFault, error) {
	injected := &injectedFault{client: r.client, url: simulator + "/ops/faults"}
	resp, err := r.client.Do(ctx, http.MethodPost, injected.url, f)
	if err != nil {
		return nil, fmt.Errorf("inject a fault: %w", err)
	}
	var created struct {
		ID string `json:"id"`
	}
	if resp.Status != http.StatusCreated || json.Unmarshal(resp.Body, &created) != nil {
		return nil, &stackclient.StatusError{Call: "POST " + injected.url, Response: resp}
	}
	injected.id = created.ID
	r.faults = append(r.faults, injected)
	return injected, nil
}

// remove removes the fault. It may be called more than once.
func (f *injectedFault) remove(ctx context.Context) error {
	if f.removed {
		return nil
	}
	resp, err := f.client.Do(ctx, http.MethodDelete, f.url+"/"+f.id, nil)
	if err != nil {
		return fmt.Errorf("remove a fault: %w", err)
	}
	if resp.Status != http.StatusNoContent && resp.Status != http.StatusNotFound {
		return &stackclient.StatusError{Call: "DELETE " + f.url, Response: resp}
	}
	f.removed = true
	return nil
}

// removeFaults removes all faults of the story, even if ctx has ended.
func (r *runner) removeFaults(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	for _, f := range r.faults {
		err := f.remove(ctx)
		for pause := 100 * time.Millisecond; err != nil && stackclient.Sleep(ctx, pause) == nil; pause *= 2 {
			err = f.remove(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// awaitFired blocks until the fault has affected a request.
func (r *runner) awaitFired(ctx context.Context, f *injectedFault, what string) error {
	return r.eventually(ctx, what, func(ctx context.Context) (bool, string, error) {
		var list struct {
			Faults []struct {
				ID    string `json:"id"`
				Fired int    `json:"fired"`
			} `json:"faults"`
		}
		if err := r.client.Get(ctx, f.url, &list); err != nil {
			return false, "", err
		}
		for _, inForce := range list.Faults {
			if inForce.ID == f.id {
				return inForce.Fired > 0, "", nil
			}
		}
		return false, "", errors.New("the fault is no longer in force")
	})
}

// placeWithFault places the order with a fault that affects only this order. The order's id is known only after it is
// placed, when the stack is processing it already. So gate, an operation that precedes the fault's, is paused for all orders
// for a few milliseconds.
func (r *runner) placeWithFault(ctx context.Context, req stackclient.OrderRequest, simulator, gate string, f fault) (*injectedFault, error) {
	paused, err := r.inject(ctx, simulator, fault{Match: match{Operation: gate}, Action: "pause"})
	if err != nil {
		return nil, err
	}
	if err := r.place(ctx, req); err != nil {
		return nil, err
	}
	f.Match.OrderID = r.id()
	injected, err := r.inject(ctx, simulator, f)
	if err != nil {
		return nil, err
	}
	return injected, paused.remove(ctx)
}
