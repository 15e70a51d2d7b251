package chassis

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// lobby is a listener that answers by itself until somebody accepts its connections. A service that still waits for its
// database is alive, and says that it is not ready, instead of looking like one that is not there.
type startupListener struct {
	*net.TCPListener
	leave sync.Once
	left  chan struct{} // its own server accepts no more
}

func newStartupListener(addr string) (*startupListener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &startupListener{TCPListener: listener.(*net.TCPListener), left: make(chan struct{})}
	server := &http.Server{Handler: httpapi.StartupHandler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second}
	// A connection that stayed open would never see the service.
	server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(l.left)
		_ = server.Serve(lent{l.TCPListener})
	}()
	return l, nil
}

// Accept implements net.Listener. The first call ends the lobby: requests that it has accepted are answered yet, and who
// connects meanwhile waits. Its server is not shut down, since that would drop the former.
func (l *startupListener) Accept() (net.Conn, error) {
	var err error
	l.leave.Do(func() {
		if err = l.SetDeadline(time.Unix(1, 0)); err == nil {
			<-l.left
			err = l.SetDeadline(time.Time{})
		}
	})
	if err != nil {
		return nil, err
	}
	return l.TCPListener.Accept()
}

// lent is the listener as the lobby's server has it: its deadline is the end, and it is not for this server to close.
type lent struct{ *net.TCPListener }

// Accept implements net.Listener.
func (l lent) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, http.ErrServerClosed // what is temporary would be tried again
	}
	return conn, err
}

// Close implements net.Listener.
func (lent) Close() error { return nil }
