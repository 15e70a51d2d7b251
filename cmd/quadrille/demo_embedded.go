package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/cmd/quadrille/internal/demo"
	"github.com/quadrille-dev/quadrille/verify/stackclient"
)

// startEmbedded starts a shop that can be killed, with data of its own: this program again, as quadrille up. It blocks
// until the shop is ready; stop ends it and deletes its data.
//
// The shop obeys the retry ladder, but no settings of the environment, which are meant for others. However this process
// ends, the shop ends with it and deletes its data.
func startEmbedded(ctx context.Context, ladder string) (shop demo.Shop, stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return demo.Shop{}, nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "quadrille-demo-")
	if err != nil {
		return demo.Shop{}, nil, err
	}
	c := &child{program: program, dir: dir, environ: demoEnviron(os.LookupEnv, ladder)}
	stop = func() {
		c.close()
		_ = os.RemoveAll(dir) // if no shop has done so
	}
	if err := c.start(ctx); err != nil {
		stop()
		return demo.Shop{}, nil, err
	}
	at := c.description
	return demo.Shop{Kill: c.kill, Start: c.start, Shop: stackclient.Shop{
		Order: at.Order, Inventory: at.Inventory, Payment: at.Payment, Shipping: at.Shipping,
		Processor: at.Processor, Carrier: at.Carrier, Token: at.Token,
	}}, stop, nil
}

// child is quadrille up in a process of its own, at the same addresses and with the same data at every start.
type child struct {
	program, dir string
	environ      []string

	mu          sync.Mutex
	running     *exec.Cmd
	stdin       io.Closer
	description description // of the first start
}

// start runs the shop and returns once it is open, or ctx has ended.
func (c *child) start(ctx context.Context) error {
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
	args := []string{"up", "--json", "--free-ports", "--data", filepath.Join(c.dir, "data"), "--" + temporaryFlag, c.dir}
	for flag, address := range c.description.Addresses {
		args = append(args, "--"+flag, address)
	}
	cmd := exec.Command(c.program, args...) // not bound to the context: once it is open, it is to end by kill only
	cmd.Env = c.environ
	cmd.Stderr = logs
	in, err := cmd.StdinPipe() // which closes with this process
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the shop: %w", err)
	}
	opening := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(out).ReadBytes('\n')
	opening()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = json.Unmarshal(line, &c.description)
	}
	if err != nil {
		ended := errors.Join(cmd.Process.Kill(), cmd.Wait())
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		said, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("the shop did not open: %w: %s", errors.Join(err, ended), said)
	}
	c.running, c.stdin = cmd, in
	return nil
}

// close has the shop end by itself and delete its data, which it goes on with if this process is ended meanwhile.
func (c *child) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return
	}
	shop := c.running
	_ = c.stdin.Close()
	late := time.AfterFunc(10*time.Second, func() { _ = shop.Process.Kill() }) // nothing of it is needed any more
	defer late.Stop()
	_ = shop.Wait() // however it ended
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
