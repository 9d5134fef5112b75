package storetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy stands between a program and PostgreSQL, and makes the network as bad as a test needs it.
type Proxy struct {
	URL     string       // of the database by way of the proxy
	Commits atomic.Int64 // answered so far
	Cut     atomic.Int64 // the commit, counted from 1, whose answer is lost: the connection breaks instead
	Silent  atomic.Bool  // nothing gets through, and no connection is closed, as when packets are dropped
	// Delay, if set, is called for each commit that is sent. If it returns a time, the program's connection breaks, and
	// the commit gets to the server so much later. It must not be changed once the proxy is used.
	Delay func() time.Duration
	// Sent and Answered, if set, are called with what the program and the server send. The connection breaks, and
	// nothing of it gets through, if they return false. They must not be changed once the proxy is used.
	Sent, Answered func([]byte) bool

	network, server string
	generation      atomic.Int64 // of connections: those of an earlier one are silent
}

// NewProxy returns a proxy to the database at that URL, which is there until the test ends.
func NewProxy(t testing.TB, database string) *Proxy {
	t.Helper()
	config, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	u.RawQuery = url.Values{"host": {host}, "port": {port}, "sslmode": {"disable"}}.Encode()
	p.URL = u.String()
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		stop()
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			serving.Go(func() { p.serve(ctx, client) })
		}
	})
	return p
}

// DropConnections makes the connections of now silent for good, as a router does that forgets them. New ones work.
func (p *Proxy) DropConnections() { p.generation.Add(1) }

// The messages with which pgx ends a transaction and the server says that it has.
var (
	commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")
	commitAnswer  = []byte("C\x00\x00\x00\x0bCOMMIT\x00")
)

// serve is one connection. It lasts until either side ends it, and until ctx is done if it has become silent.
func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return // for the client, the connection just ends
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() {
		client.Close()
		server.Close()
	})()
	generation := p.generation.Load()
	silent := func() bool { return p.Silent.Load() || p.generation.Load() != generation }
	var g sync.WaitGroup
	g.Go(func() {
		late := false
		forward(ctx, server, client, silent, func(sent []byte) bool {
			if p.Sent != nil && !p.Sent(sent) {
				return false
			}
			if p.Delay == nil || !bytes.Contains(sent, commitMessage) {
				return true
			}
			if delay := p.Delay(); delay > 0 {
				late = true
				client.Close()
				select {
				case <-time.After(delay):
				case <-ctx.Done():
				}
			}
			return true
		})
		if !late { // else the server's answer, for which there is nobody, ends the connection
			server.Close()
		}
	})
	g.Go(func() {
		defer client.Close()
		forward(ctx, client, server, silent, func(answer []byte) bool {
			if p.Answered != nil && !p.Answered(answer) {
				return false
			}
			return !bytes.Contains(answer, commitAnswer) || p.Commits.Add(1) != p.Cut.Load()
		})
	})
	g.Wait()
}

// forward hands on what comes, as long as pass agrees. Once it is silent, it does nothing until ctx is done.
func forward(ctx context.Context, to io.Writer, from io.Reader, silent func() bool, pass func([]byte) bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if silent() {
			_, _ = io.Copy(io.Discard, from)
			<-ctx.Done()
			return
		}
		if err != nil || !pass(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
