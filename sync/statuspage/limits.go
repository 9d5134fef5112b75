package statuspage

import (
	"fmt"
	"net"
	stdsync "sync"
)

// maxConnections is how many connections there are at a time. Further ones wait, in the system's queue: none of those
// before lasts for longer than the server's timeouts.
const maxConnections = 100

// limitedListener accepts no more than so many connections at a time.
type limitedListener struct {
	net.Listener
	free   chan struct{} // one for each connection
	closed chan struct{}
	close  func() error
}

func newLimitedListener(l net.Listener) net.Listener {
	limited := &limitedListener{Listener: l, free: make(chan struct{}, maxConnections), closed: make(chan struct{})}
	limited.close = stdsync.OnceValue(func() error {
		close(limited.closed)
		return l.Close()
	})
	return limited
}

// Accept waits until there are fewer connections than the maximum, and for the next one.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{conn, stdsync.OnceValue(func() error {
		defer func() { <-l.free }()
		return conn.Close()
	})}, nil
}

// Close closes the listener, and ends the wait for connections.
func (l *limitedListener) Close() error { return l.close() }

// limitedConn makes room for another one when it is closed.
type limitedConn struct {
	net.Conn
	close func() error
}

// Close closes the connection.
func (c *limitedConn) Close() error { return c.close() }

// scrapeLog logs what goes wrong with a scrape. That one breaks off is its client's doing.
type scrapeLog struct{ *Site }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) {
	if len(v) > 1 && v[0] == "error gathering metrics:" {
		l.warn("gathering the metrics failed", fmt.Errorf("%v", v[1]))
		return
	}
	l.log.Debug("answering a scrape failed", "err", fmt.Sprint(v...))
}
