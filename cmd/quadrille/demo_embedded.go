package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/demo"
)

// startEmbedded starts a shop that can be killed, with data of its own: this program again, as quadrille up. It blocks
// until the shop is ready; stop ends it and deletes its data.
func startEmbedded(ctx context.Context) (shop demo.Shop, stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return demo.Shop{}, nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "quadrille-demo-")
	if err != nil {
		return demo.Shop{}, nil, err
	}
	c := &child{program: program, dir: dir}
	stop = func() {
		_ = c.kill(context.WithoutCancel(ctx)) // nothing of it is needed any more
		_ = os.RemoveAll(dir)
	}
	if err := c.start(ctx); err != nil {
		stop()
		return demo.Shop{}, nil, err
	}
	at := c.description
	return demo.Shop{
		Order: at.Order, Inventory: at.Inventory, Payment: at.Payment, Shipping: at.Shipping,
		Processor: at.Processor, Carrier: at.Carrier, Token: at.Token, Kill: c.kill, Start: c.start,
	}, stop, nil
}

// child is quadrille up in a process of its own, at the same addresses and with the same data at every start.
type child struct {
	program, dir string

	mu          sync.Mutex
	running     *exec.Cmd
	description description // of the first start
}

// start runs the shop and returns once it is open.
func (c *child) start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return nil
	}
	logs, err := os.OpenFile(filepath.Join(c.dir, "shop.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logs.Close()
	args := []string{"up", "--json", "--free-ports", "--data", filepath.Join(c.dir, "data")}
	for flag, address := range c.description.Addresses {
		args = append(args, "--"+flag, address)
	}
	cmd := exec.Command(c.program, args...) // not bound to the context: it is to end by kill only
	cmd.Env = append(os.Environ(), "AUDIT=on")
	cmd.Stderr = logs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the shop: %w", err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.description)
	}
	if err != nil {
		ended := errors.Join(cmd.Process.Kill(), cmd.Wait())
		said, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("the shop did not open: %w: %s", errors.Join(err, ended), said)
	}
	c.running = cmd
	return nil
}

// kill ends the shop without warning.
func (c *child) kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return nil
	}
	if err := c.running.Process.Kill(); err != nil {
		return fmt.Errorf("kill the shop: %w", err)
	}
	_ = c.running.Wait() // which says that it was killed
	c.running = nil
	return nil
}
