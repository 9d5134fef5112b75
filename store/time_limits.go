package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// timeLimits is a tracer that ends the wait for each statement some seconds after the server would have ended the
// statement: a connection can die without a word, and the network would take a quarter of an hour to notice.
type timeLimits struct{}

// endWait is the context key of the function that ends what a statement's limit began.
type endWait struct{}

func limited(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout+connectTimeout)
	return context.WithValue(ctx, endWait{}, cancel)
}

func end(ctx context.Context) {
	if cancel, ok := ctx.Value(endWait{}).(context.CancelFunc); ok {
		cancel()
	}
}

// TraceQueryStart gives a statement its limit.
func (timeLimits) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return limited(ctx)
}

// TraceQueryEnd is called when all of its answer was read.
func (timeLimits) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { end(ctx) }

// TraceBatchStart gives a batch of statements, of which at most one takes long, its limit.
func (timeLimits) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return limited(ctx)
}

// TraceBatchQuery has nothing to do.
func (timeLimits) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is called when all answers were read.
func (timeLimits) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { end(ctx) }
