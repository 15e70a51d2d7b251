package demo

import (
	"context"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Shop is a running shop to play on.
type Shop struct {
	stackclient.Shop

	// Kill ends the whole shop without warning, and Start brings it back with the same data and addresses. Both are nil
	// if it cannot be killed from here.
	Kill, Start func(ctx context.Context) error
}

// client asks the shop.
type client struct {
	*stackclient.Client
	shop Shop
}

func newClient(shop Shop) *client { return &client{stackclient.New(shop.Shop), shop} }

// check asks everybody once, so that a wrong address or token is said before the first story.
func (c *client) check(ctx context.Context) error {
	if err := c.CheckServices(ctx); err != nil {
		return err
	}
	return c.CheckSimulators(ctx)
}
