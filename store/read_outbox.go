package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Backlog is what an endpoint could not be told of yet.
type Backlog struct {
	Endpoint string    `db:"endpoint"`
	Events   int       `db:"events"`
	Since    time.Time `db:"since"` // when the first of them was noted
}

// Backlogs returns one for each endpoint that could not be notified at the first attempt, by name.
func (r *Reader) Backlogs(ctx context.Context) (all []Backlog, err error) {
	const sql = `
		SELECT endpoint, count(*)::integer AS events, min(created_at) AS since
		FROM partnersync.outbox
		GROUP BY endpoint
		HAVING max(attempts) > 1
		ORDER BY endpoint`
	err = r.read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		all, err = query[Backlog](ctx, tx, "what could not be sent", sql, nil)
		return err
	})
	return all, err
}
