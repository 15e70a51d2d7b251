package loyalty

import "github.com/quadrille-dev/quadrille/pkg/events"

// Subscriptions returns the table of the events that this service handles.
func Subscriptions(*Service) []events.Subscription {
	return []events.Subscription{}
}
