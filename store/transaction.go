package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// transaction is one whose first statements take along what begins it, and whose last ones what ends it: neither needs a
// round trip of its own.
type transaction struct {
	conn  *pgx.Conn
	begin *pgx.Batch // what begins it; nil: it has begun
	over  bool
}

var errOver = errors.New("the transaction is over")

// transact runs do in a transaction that the statements of begin open. It is committed if do succeeds, unless do has ended it.
func transact(ctx context.Context, pool *pgxpool.Pool, begin *pgx.Batch, do func(*transaction) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which closes a connection that is still in a transaction
	teach(conn.Conn())
	tx := &transaction{conn: conn.Conn(), begin: begin}
	err = do(tx)
	if err == nil && tx.begin == nil && !tx.over {
		err = tx.end(ctx, &pgx.Batch{})
	}
	if err != nil && !tx.conn.IsClosed() && tx.conn.PgConn().TxStatus() != 'I' {
		_, _ = tx.conn.Exec(ctx, "ROLLBACK") // if that fails, too, the connection is closed
	}
	return err
}

// send sends statements in one round trip.
func (t *transaction) send(ctx context.Context, batch *pgx.Batch) error {
	if t.over {
		return errOver
	}
	if t.begin != nil {
		batch = &pgx.Batch{QueuedQueries: append(t.begin.QueuedQueries, batch.QueuedQueries...)}
		t.begin = nil
	}
	err := t.conn.SendBatch(ctx, batch).Close()
	t.over = err != nil && t.conn.PgConn().TxStatus() == 'I' // it has not even begun
	return err
}

// end sends the last statements, and commits with them: whatever their results tell comes too late to keep it from that.
func (t *transaction) end(ctx context.Context, batch *pgx.Batch) error {
	batch.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() == "ROLLBACK" {
			return pgx.ErrTxCommitRollback
		}
		return nil
	})
	err := t.send(ctx, batch)
	t.over = t.over || err == nil
	return err
}

// start begins the transaction before a statement that goes by itself.
func (t *transaction) start(ctx context.Context) error {
	if t.begin == nil && !t.over {
		return nil
	}
	return t.send(ctx, &pgx.Batch{})
}

// Exec is that of pgx.Tx.
func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.start(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.conn.Exec(ctx, sql, args...)
}

// Query is that of pgx.Tx.
func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.start(ctx); err != nil {
		return noRows{err: err}, err
	}
	return t.conn.Query(ctx, sql, args...)
}

// QueryRow is that of pgx.Tx.
func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.start(ctx); err != nil {
		return noRows{err: err}
	}
	return t.conn.QueryRow(ctx, sql, args...)
}

// noRows are those of a query that could not be sent.
type noRows struct {
	pgx.Rows
	err error
}

// Close does nothing.
func (noRows) Close() {}

// Next returns false.
func (noRows) Next() bool { return false }

// Err returns why there are none.
func (r noRows) Err() error { return r.err }

// Scan returns why there is nothing to scan.
func (r noRows) Scan(...any) error { return r.err }
