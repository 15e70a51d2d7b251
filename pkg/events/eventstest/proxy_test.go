package eventstest_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quadrille-dev/quadrille/pkg/events/eventstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeout bounds each wait of a test.
const timeout = 30 * time.Second

// newServer starts a server that responds to each line with the line in capitals, and passes on what it receives.
func newServer(t *testing.T) (addr string, received <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer conn.Close()
				for scanner := bufio.NewScanner(conn); scanner.Scan(); {
					lines <- scanner.Text()
					_, _ = io.WriteString(conn, strings.ToUpper(scanner.Text())+"\n")
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
	})
	return listener.Addr().String(), lines
}

type client struct {
	net.Conn
	t         *testing.T
	responses chan string // closed when the connection ends
}

func dial(t *testing.T, p *eventstest.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{conn, t, make(chan string, 100)}
	go func() {
		defer close(c.responses)
		for scanner := bufio.NewScanner(conn); scanner.Scan(); {
			c.responses <- scanner.Text()
		}
	}()
	return c
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// next receives from the channel, and returns "" if it is closed.
func next(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(timeout):
		t.Fatal("timed out")
		return ""
	}
}

func nothing(t *testing.T, c <-chan string) {
	t.Helper()
	select {
	case s := <-c:
		t.Errorf("unexpected %q", s)
	default:
	}
}

func TestProxy_StallsEachDirection(t *testing.T) {
	t.Parallel()
	addr, received := newServer(t)
	p := eventstest.NewProxy(t, addr)
	c := dial(t, p)
	c.send("one")
	if got := next(t, received) + next(t, c.responses); got != "oneONE" {
		t.Fatalf("got %q", got)
	}
	p.StallResponses()
	c.send("two")
	if got := next(t, received); got != "two" {
		t.Errorf("the server received %q", got)
	}
	nothing(t, c.responses)
	p.StallRequests()
	c.send("three")
	nothing(t, received)
	p.Restore()
	if got := next(t, c.responses) + next(t, received) + next(t, c.responses); got != "TWOthreeTHREE" {
		t.Errorf("after the stall: %q", got)
	}
}

func TestProxy_CutLosesStalledBytes(t *testing.T) {
	t.Parallel()
	addr, received := newServer(t)
	p := eventstest.NewProxy(t, addr)
	c := dial(t, p)
	p.StallRequests()
	c.send("lost")
	p.Cut()
	if got := next(t, c.responses); got != "" {
		t.Errorf("got %q over a cut connection", got)
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil { // unless the reset has arrived already
		if got := next(t, newClient(t, conn).responses); got != "" {
			t.Errorf("got %q while cut", got)
		}
	}
	p.Restore()
	c = dial(t, p)
	c.send("again")
	if got := next(t, received) + next(t, c.responses); got != "againAGAIN" {
		t.Errorf("got %q", got)
	}
}
