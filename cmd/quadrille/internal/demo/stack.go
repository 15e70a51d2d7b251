package demo

import (
	"context"

	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// Stack is a running stack.
type Stack struct {
	stackclient.Stack

	// Kill ends the whole stack without warning, and Start starts it again with the same data and addresses. Both are nil
	// if this process did not start the stack.
	Kill, Start func(ctx context.Context) error
}

// client calls the stack.
type client struct {
	*stackclient.Client
	stack Stack
}

func newClient(stack Stack) *client { return &client{stackclient.New(stack.Stack), stack} }

// check calls every service and simulator once, so that a wrong URL or token is reported before the first story.
func (c *client) check(ctx context.Context) error {
	if err := c.CheckServices(ctx); err != nil {
		return err
	}
	return c.CheckSimulators(ctx)
}
