package storetest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/localpg"
)

// Node is a server that may crash, and starts again where it was, with its data.
type Node struct {
	*localpg.Server
	Dir string // of the server, as localpg.Config has it

	settings map[string]string
}

// NewOnNodes returns a database with the servers that it is on, the coordinator first: in a cluster one of New,
// otherwise an empty one on a server of the test's own.
func NewOnNodes(t testing.TB) (*DB, []*Node) {
	t.Helper()
	if IsCitus() {
		db := New(t)
		return db, shared.citus.nodes
	}
	n, err := startNode(t.Context(), nil)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() { _ = n.stop() }) // an error if the test has let it crash
	db := &DB{URL: n.URL("postgres")}
	if db.Pool, err = pgxpool.New(t.Context(), db.URL); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(db.Pool.Close)
	return db, []*Node{n}
}

func startNode(ctx context.Context, settings map[string]string) (n *Node, err error) {
	n = &Node{settings: settings}
	if n.Dir, err = os.MkdirTemp("", "node-"); err != nil { // a test's own directory is closed to the server's account
		return nil, err
	}
	if err = os.Chmod(n.Dir, 0o711); err == nil {
		err = n.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(n.Dir))
	}
	return n, nil
}

// Start starts the server on the data there is.
func (n *Node) Start(ctx context.Context) (err error) {
	n.Server, err = localpg.Start(ctx, localpg.Config{Dir: n.Dir, Settings: n.settings})
	return err
}

func (n *Node) stop() error { return errors.Join(n.Stop(), os.RemoveAll(n.Dir)) }
