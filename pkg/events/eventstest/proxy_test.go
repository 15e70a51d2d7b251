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

const patience = 30 * time.Second

// shouter answers every line in capitals, and hands out what it hears.
func shouter(t *testing.T) (addr string, heard <-chan string) {
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
	t       *testing.T
	answers chan string // closed when the connection ends
}

func dial(t *testing.T, p *eventstest.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, conn)
}

func listen(t *testing.T, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{conn, t, make(chan string, 100)}
	go func() {
		defer close(c.answers)
		for scanner := bufio.NewScanner(conn); scanner.Scan(); {
			c.answers <- scanner.Text()
		}
	}()
	return c
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// next is what the channel brings, or "" if it has ended.
func next(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatal("waited in vain")
		return ""
	}
}

func nothing(t *testing.T, c <-chan string) {
	t.Helper()
	select {
	case s := <-c:
		t.Errorf("%q came through", s)
	default:
	}
}

func TestProxy_StallsEachDirectionByItself(t *testing.T) {
	t.Parallel()
	addr, heard := shouter(t)
	p := eventstest.NewProxy(t, addr)
	c := dial(t, p)
	c.say("one")
	if got := next(t, heard) + next(t, c.answers); got != "oneONE" {
		t.Fatalf("got %q", got)
	}
	p.StallAnswers()
	c.say("two")
	if got := next(t, heard); got != "two" {
		t.Errorf("the server heard %q", got)
	}
	nothing(t, c.answers)
	p.StallRequests()
	c.say("three")
	nothing(t, heard)
	p.Restore()
	if got := next(t, c.answers) + next(t, heard) + next(t, c.answers); got != "TWOthreeTHREE" {
		t.Errorf("after the stall: %q", got)
	}
}

func TestProxy_LosesWhatCutFindsStalled(t *testing.T) {
	t.Parallel()
	addr, heard := shouter(t)
	p := eventstest.NewProxy(t, addr)
	c := dial(t, p)
	p.StallRequests()
	c.say("lost")
	p.Cut()
	if got := next(t, c.answers); got != "" {
		t.Errorf("got %q over a cut connection", got)
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil { // or the reset has come already
		if got := next(t, listen(t, conn).answers); got != "" {
			t.Errorf("got %q while cut", got)
		}
	}
	p.Restore()
	c = dial(t, p)
	c.say("again")
	if got := next(t, heard) + next(t, c.answers); got != "againAGAIN" {
		t.Errorf("got %q", got)
	}
}
