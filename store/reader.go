package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Reader answers what people and monitoring ask: how the sync goes, and how the batches stand. It has two connections of
// its own, so that however often it is asked, the sync does not wait for it; its transactions are read-only and short.
// It is safe for concurrent use.
type Reader struct {
	pool    *pgxpool.Pool
	watched *pgxpool.Pool // the sync's
	// life ends with Close, and every question with it: whoever asks may go on waiting for longer than the program does.
	life context.Context
	end  context.CancelFunc
}

const (
	readerConnections = 2
	readerTimeout     = 10 * time.Second
	// surveyTimeout is that of a question over all batches, for which nobody waits.
	surveyTimeout = 2 * time.Minute
)

// NewReader returns a reader of the database that the pool is connected to. It connects at the first question. Close it
// before the pool.
func NewReader(ctx context.Context, pool *pgxpool.Pool) (*Reader, error) {
	config := pool.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = readerConnections, 0, 0
	config.ConnConfig.RuntimeParams["application_name"] += " status page"
	own, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("making the status page's connections: %w", err)
	}
	r := &Reader{pool: own, watched: pool}
	r.life, r.end = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// Close ends the questions that are being answered, and lets the connections go.
func (r *Reader) Close() {
	r.end()
	r.pool.Close()
}

// Ping tells whether the database answers.
func (r *Reader) Ping(ctx context.Context) error {
	if err := r.pool.Ping(ctx); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Pool returns the reader's own connections.
func (r *Reader) Pool() *pgxpool.Pool { return r.pool }

// Watched returns the pool whose use is to be watched: the sync's.
func (r *Reader) Watched() *pgxpool.Pool { return r.watched }

// read runs do in a read-only transaction of one snapshot.
func (r *Reader) read(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return r.readWithin(ctx, readerTimeout, do)
}

func (r *Reader) readWithin(ctx context.Context, timeout time.Duration, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	// To compile a query takes longer than any of these may run.
	begin := fmt.Sprintf(`
		BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
		SET LOCAL statement_timeout = '%dms';
		SET LOCAL jit = off`, timeout.Milliseconds())
	return pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// query collects the rows of one question.
func query[T any](ctx context.Context, tx pgx.Tx, what, sql string, args pgx.NamedArgs) ([]T, error) {
	rows, _ := tx.Query(ctx, sql, args) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return all, nil
}
