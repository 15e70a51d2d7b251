package eventstest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a TCP server and breaks what passes, on demand. It implements Link. Bytes that
// are stalled are held and not lost, so a connection survives a stall; to lose them, cut before restoring.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	cut      bool
	closed   bool
	requests gate
	answers  gate
}

var _ Link = (*Proxy)(nil)

// NewProxy listens on a free port of the loopback interface and passes connections on to target, a host and port.
// It ends with the test.
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

// Addr is the host and port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.reset()
}

// StallRequests holds back what clients send until Restore, on all connections, new ones included.
func (p *Proxy) StallRequests() { p.requests.shut() }

// StallAnswers holds back what the server sends until Restore, on all connections, new ones included.
func (p *Proxy) StallAnswers() { p.answers.shut() }

// Restore lets everything pass again.
func (p *Proxy) Restore() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.requests.open()
	p.answers.open()
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

// reset closes all connections, hard. The caller holds the lock.
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
	if !p.keep(client) {
		return
	}
	defer p.forget(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer hangUp(server)
	if !p.keep(server) {
		return
	}
	defer p.forget(server)

	var both sync.WaitGroup
	both.Go(func() { pipe(server, client, &p.requests) })
	both.Go(func() { pipe(client, server, &p.answers) })
	both.Wait()
}

// keep remembers a connection for Cut; false if it may not exist.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// pipe copies one direction. An orderly end is passed on, anything else ends both directions.
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
		case err == io.EOF:
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

// gate blocks those who pass while it is shut. The zero value is open.
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
