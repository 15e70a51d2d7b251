package events

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/transport"
)

// validate reports every mistake of a configuration and its subscriptions at once. It returns the subscriptions with the
// publishers of their events.
func validate(c Config, subscriptions []Subscription) ([]Subscription, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !namePattern.MatchString(c.Service) {
		bad("Service %q is not a lower-case name", c.Service)
	}
	var retries time.Duration
	for i, d := range c.RetryDelays {
		retries += d
		if d < time.Millisecond {
			bad("RetryDelays[%d] is %v: a retry delay is at least a millisecond", i, d)
		}
		if i > 0 && d < c.RetryDelays[i-1] {
			bad("RetryDelays[%d] is %v: shorter than the delay before it", i, d)
		}
	}
	for _, f := range []struct {
		name     string
		negative bool
		value    any
	}{
		{"Relay.PollInterval", c.Relay.PollInterval < 0, c.Relay.PollInterval},
		{"Relay.BatchSize", c.Relay.BatchSize < 0, c.Relay.BatchSize},
		{"Relay.PublishTimeout", c.Relay.PublishTimeout < 0, c.Relay.PublishTimeout},
		{"Relay.LeaseTTL", c.Relay.LeaseTTL < 0, c.Relay.LeaseTTL},
		{"Relay.MaxPublishAttempts", c.Relay.MaxPublishAttempts < 0, c.Relay.MaxPublishAttempts},
		{"Handlers.Workers", c.Handlers.Workers < 0, c.Handlers.Workers},
		{"Handlers.Timeout", c.Handlers.Timeout < 0, c.Handlers.Timeout},
		{"Handlers.PauseLimit", c.Handlers.PauseLimit < 0, c.Handlers.PauseLimit},
		{"Inbox.Retention", c.Inbox.Retention < 0, c.Inbox.Retention},
		{"Inbox.ReplayWindow", c.Inbox.ReplayWindow < 0, c.Inbox.ReplayWindow},
		{"Inbox.CleanupInterval", c.Inbox.CleanupInterval < 0, c.Inbox.CleanupInterval},
		{"ShutdownTimeout", c.ShutdownTimeout < 0, c.ShutdownTimeout},
	} {
		if f.negative {
			bad("%s is negative: %v", f.name, f.value)
		}
	}
	if c.Inbox.Retention <= c.Inbox.ReplayWindow+retries {
		bad("Inbox.Retention (%v) does not exceed Inbox.ReplayWindow (%v) plus the retry delays (%v): a replayed event could be applied twice",
			c.Inbox.Retention, c.Inbox.ReplayWindow, retries)
	}

	declared, err := newRegistry(c.Events)
	if err != nil {
		errs = append(errs, err)
	}
	subscriptions = slices.Clone(subscriptions)
	handlers, versions := map[string]bool{}, map[string]string{}
	for i, s := range subscriptions {
		if s.problem == nil {
			var d Declaration
			if d, s.problem = declared.find(s.eventType); s.problem == nil {
				s.publisher = d.Publisher
				subscriptions[i] = s
			}
		}
		if s.problem != nil {
			bad("handler %q: %w", s.handler, s.problem)
		}
		if s.run != nil && s.problem == nil {
			name := s.publisher + " " + transport.EventName(s.eventType)
			if other, ok := versions[name]; ok && other != s.eventType {
				bad("handler %q: %s beside %s: a queue receives every version, so each handler would dead-letter the other's events",
					s.handler, s.eventType, other)
			}
			versions[name] = s.eventType
		}
		if !namePattern.MatchString(s.handler) {
			bad("handler %q of %s is not a lower-case name with dashes", s.handler, s.eventType)
		}
		if handlers[s.handler] {
			bad("handler %q is bound twice: each needs a queue of its own", s.handler)
		}
		handlers[s.handler] = true
		if s.run == nil {
			bad("handler %q: make subscriptions with Handle or HandleExternal", s.handler)
		}
		if s.workers < 0 || s.timeout < 0 {
			bad("handler %q: Workers and Timeout may not be negative", s.handler)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("events: configuration of service %q: %w", c.Service, errors.Join(errs...))
	}
	return subscriptions, nil
}
