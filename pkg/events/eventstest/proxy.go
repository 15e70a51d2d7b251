package eventstest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to a server and injects faults. It implements Link. Stalled bytes are delayed and not
// lost, so a connection survives a stall. To lose them, call Cut before Restore.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	cut       bool
	closed    bool
	requests  gate
	responses gate
}

var _ Link = (*Proxy)(nil)

// NewProxy listens on a free port of the loopback interface and passes connections on to target, a host and port. It is
// closed when the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{target: target, listener: listener, conns: map[net.Conn]struct{}{}}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the host and port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.reset()
}

// StallRequests delays what clients send until Restore, on all connections including new ones.
func (p *Proxy) StallRequests() { p.requests.shut() }

// StallResponses delays what the server sends until Restore, on all connections including new ones.
func (p *Proxy) StallResponses() { p.responses.shut() }

// Restore ends all faults.
func (p *Proxy) Restore() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.requests.open()
	p.responses.open()
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.reset()
	p.mu.Unlock()
	p.Restore()
	p.done.Wait()
}

// reset resets all connections. The caller holds the lock.
func (p *Proxy) reset() {
	for c := range p.conns {
		hangUp(c)
	}
}

func hangUp(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer hangUp(client)
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer hangUp(server)
	if !p.add(server) {
		return
	}
	defer p.remove(server)

	var both sync.WaitGroup
	both.Go(func() { pipe(server, client, &p.requests) })
	both.Go(func() { pipe(client, server, &p.responses) })
	both.Wait()
}

// add registers a connection for Cut. It reports false if the connection must be closed.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// pipe copies one direction. It passes an orderly end on; any other error ends both directions.
func pipe(to, from net.Conn, g *gate) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		g.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				hangUp(from)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			return
		case err != nil:
			hangUp(to)
			return
		}
	}
}

// gate blocks calls of pass while it is shut. The zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
}
