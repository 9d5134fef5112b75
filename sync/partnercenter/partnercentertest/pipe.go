package partnercentertest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Pipe serves h in memory and returns a transport that reaches only h, whatever the host. It uses no sockets, so
// that it works in a testing/synctest bubble. When stop returns, all connections are closed.
//
// Connections are not reused: on a reused one net/http itself repeats a request that was reset, so that attempts
// could not be counted.
func Pipe(h http.Handler) (transport http.RoundTripper, stop func()) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(l)
	}()
	t := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
	return t, func() {
		t.CloseIdleConnections()
		server.Close()
		<-served
	}
}

// pipeListener is a listener for in-memory connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the other end of the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting and dialing.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address for error messages.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
