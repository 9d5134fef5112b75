package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// TimeLimit is a tracer that ends the wait for each statement, BEGIN and COMMIT among them, after so long. OpenPool
// sets one that is some seconds longer than the server's own limit: a connection can die without a word, and the
// network would take a quarter of an hour to notice.
type TimeLimit time.Duration

// endWait is the context key of the function that ends what a statement's limit began.
type endWait struct{}

func (l TimeLimit) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l))
	return context.WithValue(ctx, endWait{}, cancel)
}

func end(ctx context.Context) {
	if cancel, ok := ctx.Value(endWait{}).(context.CancelFunc); ok {
		cancel()
	}
}

// TraceQueryStart gives a statement its limit.
func (l TimeLimit) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return l.begin(ctx)
}

// TraceQueryEnd is called when all of its answer was read.
func (TimeLimit) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { end(ctx) }

// TraceBatchStart gives a batch of statements, of which at most one takes long, its limit.
func (l TimeLimit) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return l.begin(ctx)
}

// TraceBatchQuery has nothing to do.
func (TimeLimit) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is called when all answers were read.
func (TimeLimit) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { end(ctx) }
