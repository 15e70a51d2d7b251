package rabbitmq_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a transport and the broker. It can cut, and stall in each direction, the connections that exist
// at the moment; later ones are not affected. eventstest.Proxy affects later ones too.
type proxy struct {
	url      string
	target   string
	sent     atomic.Int64         // bytes, to the broker
	accepted atomic.Int64         // connections
	rewrite  func(payload []byte) // of each content header on its way to the broker

	mu    sync.Mutex
	conns []*proxiedConn
	all   sync.WaitGroup
}

type proxiedConn struct {
	client, server     net.Conn
	toServer, toClient gate
	gone               chan struct{}
	end                sync.Once
}

func (c *proxiedConn) close() {
	c.end.Do(func() {
		_ = c.client.Close()
		_ = c.server.Close()
		close(c.gone) // last, so that a gate does not release what it holds
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

func newProxy(t *testing.T, address string, rewrite func(header []byte)) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, rewrite: rewrite}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.accepted.Add(1)
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
	c := &proxiedConn{client: client, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()

	pump := func(to io.Writer, from io.Reader, g *gate) {
		defer c.close()
		buffer := make([]byte, 16<<10)
		for {
			g.pass(c.gone)
			n, err := from.Read(buffer)
			g.pass(c.gone)
			if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	var requests io.Reader = client
	if p.rewrite != nil {
		requests = &frameReader{source: bufio.NewReader(client), rewrite: p.rewrite, left: len("AMQP0091")}
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(counter{server, &p.sent}, requests, &c.toServer) })
	pumps.Go(func() { pump(client, server, &c.toClient) })
	pumps.Wait()

	p.mu.Lock()
	p.conns = slices.DeleteFunc(p.conns, func(other *proxiedConn) bool { return other == c })
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

// frameReader reads what an AMQP client sends and rewrites the content headers, which keep their lengths.
type frameReader struct {
	source  *bufio.Reader
	rewrite func(payload []byte)
	ready   []byte // a whole frame, to be returned
	left    int    // bytes of the protocol header that come before the first frame
}

func (r *frameReader) Read(b []byte) (int, error) {
	if r.left > 0 {
		n, err := r.source.Read(b[:min(r.left, len(b))])
		r.left -= n
		return n, err
	}
	if len(r.ready) == 0 {
		const frameHeader, contentHeader, frameEnd = 7, 2, 1
		head, err := r.source.Peek(frameHeader)
		if err != nil {
			return 0, err
		}
		size := frameHeader + int(binary.BigEndian.Uint32(head[3:])) + frameEnd
		r.ready = make([]byte, size)
		if _, err := io.ReadFull(r.source, r.ready); err != nil {
			return 0, err
		}
		if r.ready[0] == contentHeader {
			r.rewrite(r.ready[frameHeader : size-frameEnd])
		}
	}
	n := copy(b, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

func (p *proxy) each(f func(c *proxiedConn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		f(c)
	}
}

func (p *proxy) cut() {
	p.each((*proxiedConn).close)
}

// stall stops the bytes that the client sends, or those that the server sends.
func (p *proxy) stall(toServer, toClient bool) {
	p.each(func(c *proxiedConn) {
		c.toServer.set(toServer)
		c.toClient.set(toClient)
	})
}

// inject sends a frame to the clients as if it came from the broker. The connections must be idle.
func (p *proxy) inject(t *testing.T, frame []byte) {
	t.Helper()
	p.each(func(c *proxiedConn) {
		if _, err := c.client.Write(frame); err != nil {
			t.Error(err)
		}
	})
}
