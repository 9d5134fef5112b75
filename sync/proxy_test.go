package sync

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"partnersync/store"
)

// proxy stands between a worker and PostgreSQL, and makes the network as bad as a test needs it.
type proxy struct {
	url     string
	commits atomic.Int64 // seen so far
	cut     atomic.Int64 // the commit, counted from 1, whose answer is lost: the connection breaks instead
	silent  atomic.Bool  // nothing gets through on connections of now, and none is closed, as when packets are dropped

	network, server string
}

// newProxy returns a proxy to the database at address.
func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	u.RawQuery = url.Values{"host": {host}, "port": {port}, "sslmode": {"disable"}}.Encode()
	p.url = u.String()
	var serving errgroup.Group
	t.Cleanup(func() {
		listener.Close()
		_ = serving.Wait()
	})
	serving.Go(func() error {
		for {
			client, err := listener.Accept()
			if err != nil {
				return nil // the test is over
			}
			serving.Go(func() error { return p.serve(client) })
		}
	})
	return p
}

// serve is one connection. It lasts until either side ends it.
func (p *proxy) serve(client net.Conn) error {
	defer client.Close()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return nil // for the client, the connection just ends
	}
	defer server.Close()
	var g errgroup.Group
	g.Go(func() error {
		defer server.Close()
		return p.copy(server, client, func([]byte) bool { return true })
	})
	g.Go(func() error {
		defer client.Close()
		return p.copy(client, server, func(answer []byte) bool {
			committed := bytes.Contains(answer, []byte("C\x00\x00\x00\x0bCOMMIT\x00")) // the message CommandComplete
			return !committed || p.commits.Add(1) != p.cut.Load()
		})
	})
	return g.Wait()
}

// copy hands on what comes, as long as pass agrees.
func (p *proxy) copy(to io.Writer, from io.Reader, pass func([]byte) bool) error {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !pass(buffer[:n]) {
			return nil
		}
		if p.silent.Load() {
			_, _ = io.Copy(io.Discard, from) // until the other side gives up
			return nil
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return nil
		}
	}
}

// through returns the world as a worker sees it whose connections go through the proxy.
func (w *world) through(p *proxy, o store.Options) *world {
	w.t.Helper()
	pool, err := store.OpenPool(w.t.Context(), p.url)
	w.ok(err)
	w.t.Cleanup(pool.Close)
	other := *w
	other.store = store.New(pool, o)
	return &other
}
