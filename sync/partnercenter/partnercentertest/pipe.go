package partnercentertest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Pipe serves h in memory and returns a transport that reaches it, whatever the host, and nothing else. There are no
// sockets, so that it works in a testing/synctest bubble; stop ends it, and has all connections closed when it returns.
//
// Connections are not kept: on a kept one net/http itself repeats a request that was reset, so that attempts could not be
// counted.
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

// pipeListener listens to those who dial it.
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

// Close lets nobody in any more.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that says what this is.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
