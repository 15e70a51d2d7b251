package rabbitmq

import (
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a transport and the broker. It can cut, and stall each direction, of the connections that
// exist at the moment; later ones are whole.
type proxy struct {
	url    string
	target string
	sent   atomic.Int64 // bytes, to the broker

	mu    sync.Mutex
	links []*proxied
	all   sync.WaitGroup
}

type proxied struct {
	client, server     net.Conn
	toServer, toClient gate
	gone               chan struct{}
	end                sync.Once
}

func (l *proxied) close() {
	l.end.Do(func() {
		_ = l.client.Close()
		_ = l.server.Close()
		close(l.gone) // last, so that what a gate holds stays behind it
	})
}

// gate lets bytes through unless it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil if open; closed to open it again
}

func (g *gate) pass(gone <-chan struct{}) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-gone:
		}
	}
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &proxied{client: client, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()

	pump := func(to io.Writer, from io.Reader, g *gate) {
		defer l.close()
		buffer := make([]byte, 16<<10)
		for {
			g.pass(l.gone)
			n, err := from.Read(buffer)
			g.pass(l.gone)
			if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(counter{server, &p.sent}, client, &l.toServer) })
	pumps.Go(func() { pump(client, server, &l.toClient) })
	pumps.Wait()

	p.mu.Lock()
	p.links = slices.DeleteFunc(p.links, func(other *proxied) bool { return other == l })
	p.mu.Unlock()
}

type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}

func (p *proxy) each(f func(l *proxied)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		f(l)
	}
}

func (p *proxy) cut() {
	p.each((*proxied).close)
}

// stall holds what the client sends, or what the server sends.
func (p *proxy) stall(toServer, toClient bool) {
	p.each(func(l *proxied) {
		l.toServer.set(toServer)
		l.toClient.set(toClient)
	})
}

// inject sends a frame to the clients as if the broker had. The connections must be idle.
func (p *proxy) inject(t *testing.T, frame []byte) {
	t.Helper()
	p.each(func(l *proxied) {
		if _, err := l.client.Write(frame); err != nil {
			t.Error(err)
		}
	})
}
