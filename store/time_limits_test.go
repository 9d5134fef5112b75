package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/storetest"
)

// behind returns a Store whose connections go through the proxy. A statement may take two seconds, and a ping one;
// each connection is pinged before it is used again, and not only after it was idle for a second.
func behind(t *testing.T, p *storetest.Proxy) *Store {
	t.Helper()
	tried, err := OpenPool(t.Context(), withParameter(t, p.URL, "connect_timeout", "1"))
	if err != nil {
		t.Fatal(err)
	}
	tried.Close()
	config := tried.Config()
	config.ConnConfig.Tracer = TimeLimit(2 * time.Second)
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return New(pool, Options{})
}

// Nothing waits without end for a connection on which nothing comes any more, whatever was sent last.
func TestTimeLimits_whereConnectionsDieSilently(t *testing.T) {
	t.Parallel()
	const sql = "SELECT 1"
	fails := errors.New("the transaction fails")
	for name, do := range map[string]func(context.Context, pgx.Tx, func()) error{
		"statement": func(ctx context.Context, tx pgx.Tx, silence func()) error {
			silence()
			_, err := tx.Exec(ctx, sql)
			return err
		},
		"batch": func(ctx context.Context, tx pgx.Tx, silence func()) error {
			silence()
			return tx.SendBatch(ctx, batchOf(nil, sql, sql)).Close()
		},
		"in mid-answer": func(ctx context.Context, tx pgx.Tx, silence func()) error {
			rows, _ := tx.Query(ctx, "SELECT repeat('x', 10000) FROM generate_series(1, 2000)")
			rows.Next()
			silence()
			for rows.Next() {
			}
			return rows.Err()
		},
		"commit": func(_ context.Context, _ pgx.Tx, silence func()) error {
			silence()
			return nil
		},
		"rollback": func(_ context.Context, _ pgx.Tx, silence func()) error {
			silence()
			return fails
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewProxy(t, storetest.New(t).URL)
			s := behind(t, p)
			err := s.write(t.Context(), func(tx pgx.Tx) error { return do(t.Context(), tx, p.DropConnections) })
			if name == "rollback" && !errors.Is(err, fails) || name != "rollback" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			// New connections work.
			if err := s.Heartbeat(t.Context()); err != nil {
				t.Errorf("then got %v", err)
			}
		})
	}
}

func TestTimeLimits_idleConnectionsThatDiedAreReplaced(t *testing.T) {
	t.Parallel()
	p := storetest.NewProxy(t, storetest.New(t).URL)
	s := behind(t, p)
	for range 3 {
		if err := s.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.DropConnections()
	}
	if _, err := s.Pace(t.Context(), "contoso"); err != nil {
		t.Error(err)
	}
	p.Silent.Store(true)
	if _, err := s.Pace(t.Context(), "contoso"); err == nil {
		t.Error("a server that never answers was asked with success")
	}
}
