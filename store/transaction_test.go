package store

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const markSQL = "INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at) VALUES (gen_random_uuid(), 'marked', '', now(), now())"

// marked is how many statements of markSQL have been committed.
func (w *world) marked() string {
	w.t.Helper()
	return w.lines("count(*)) FROM partnersync.workers WHERE host = 'marked'")
}

// transaction runs one over the world's only connection.
func (w *world) transaction(begin string, do func(*transaction) error) error {
	w.t.Helper()
	batch := &pgx.Batch{}
	batch.Queue(begin)
	return transact(w.t.Context(), w.pool, batch, do)
}

// waysToRun are the ways to run markSQL.
func waysToRun(ctx context.Context) map[string]func(*transaction) error {
	return map[string]func(*transaction) error{
		"Exec":     func(tx *transaction) error { _, err := tx.Exec(ctx, markSQL); return err },
		"QueryRow": func(tx *transaction) error { return tx.QueryRow(ctx, markSQL).Scan() },
		"Query": func(tx *transaction) error {
			rows, _ := tx.Query(ctx, markSQL) // ForEachRow returns its error
			_, err := pgx.ForEachRow(rows, nil, func() error { return nil })
			return err
		},
	}
}

func TestTransact_commitsWithoutBeingTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.transaction("BEGIN", func(tx *transaction) error {
		_, err := tx.Exec(t.Context(), markSQL)
		if got := w.marked(); got != "0" {
			t.Errorf("%s rows can be seen before the end, want none", got)
		}
		return err
	}))
	if got := w.marked(); got != "1" {
		t.Errorf("%s rows, want the one that was written", got)
	}
	w.ok(w.transaction("an error if it were sent", func(*transaction) error { return nil }))
}

func TestTransact_takesNothingAfterItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := waysToRun(t.Context())
	late["end"] = func(tx *transaction) error { return tx.end(t.Context(), &pgx.Batch{}) }
	for name, late := range late {
		err := w.transaction("BEGIN", func(tx *transaction) error {
			w.ok(tx.end(t.Context(), &pgx.Batch{}))
			return late(tx)
		})
		if !errors.Is(err, errOver) {
			t.Errorf("%s after the end: %v, want %v", name, err, errOver)
		}
	}
	if got := w.marked(); got != "0" {
		t.Errorf("%s statements ran outside of their transaction", got)
	}
}

func TestTransact_failuresUndoAllAndKeepTheConnection(t *testing.T) {
	t.Parallel()
	w := worldOver(t, withParameter(t, newWorld(t).url, "pool_max_conns", "1"))
	process := w.lines("pg_backend_pid())")
	failing := &pgx.Batch{}
	failing.Queue(markSQL)
	failing.Queue("SELECT 1 / 0")
	for name, do := range map[string]func(*transaction) error{
		"the caller's": func(tx *transaction) error {
			_, err := tx.Exec(t.Context(), markSQL)
			w.ok(err)
			return errors.ErrUnsupported
		},
		"a statement's": func(tx *transaction) error {
			_, err := tx.Exec(t.Context(), markSQL)
			w.ok(err)
			_, err = tx.Exec(t.Context(), "SELECT 1 / 0")
			return err
		},
		"the last statement's": func(tx *transaction) error { return tx.end(t.Context(), failing) },
		"one that was not told of": func(tx *transaction) error {
			_, err := tx.Exec(t.Context(), markSQL)
			w.ok(err)
			_, _ = tx.Exec(t.Context(), "SELECT 1 / 0")
			return nil
		},
	} {
		if err := w.transaction("BEGIN", do); err == nil {
			t.Errorf("%s error is lost", name)
		}
	}
	if got := w.marked(); got != "0" {
		t.Errorf("%s rows of failed transactions, want none", got)
	}
	if now := w.lines("pg_backend_pid())"); now != process {
		t.Error("the connection was given up")
	}
}

func TestTransact_errorOfItsBeginningIsThatOfTheFirstStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, first := range waysToRun(t.Context()) {
		e, ok := errors.AsType[*pgconn.PgError](w.transaction("SELECT 1 / 0", func(tx *transaction) error {
			err := first(tx)
			if again := first(tx); !errors.Is(again, errOver) {
				t.Errorf("%s again: %v, want %v", name, again, errOver)
			}
			return err
		}))
		if !ok || e.Code != "22012" {
			t.Errorf("%s: %v, want a division by zero", name, e)
		}
	}
	if got := w.marked(); got != "0" {
		t.Errorf("%s statements ran without a transaction", got)
	}
}
