package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// difference is what sets a listing apart from the known rows: positions among the listed rows, keys of the absent ones.
type difference struct {
	inserted, changed, refreshed []int
	changedKeys, absent          []string
}

// difference compares the listed rows with the known ones, if there are any.
func (m *merging[R]) difference(ctx context.Context) (d difference, err error) {
	if m.known {
		return m.resource.difference(ctx, m.tx, m.list, m.rows)
	}
	d.inserted = make([]int, len(m.rows))
	for i := range d.inserted {
		d.inserted[i] = i
	}
	return d, nil
}

// difference compares rows with what is known of the list.
func (r *resource[R]) difference(ctx context.Context, tx pgx.Tx, at list, rows []R) (d difference, err error) {
	args := at.args()
	r.args(rows, args)
	result, err := tx.Query(ctx, r.sql.compare, args)
	if err != nil {
		return d, fmt.Errorf("comparing %d rows: %w", len(rows), err)
	}
	var position *int
	var key *string
	var kind string
	_, err = pgx.ForEachRow(result, []any{&position, &key, &kind}, func() error {
		switch kind {
		case "new":
			d.inserted = append(d.inserted, *position-1)
		case "changed":
			d.changed = append(d.changed, *position-1)
			d.changedKeys = append(d.changedKeys, *key)
		case "refreshed":
			d.refreshed = append(d.refreshed, *position-1)
		case "absent":
			d.absent = append(d.absent, *key)
		}
		return nil
	})
	if err != nil {
		return d, fmt.Errorf("comparing %d rows: %w", len(rows), err)
	}
	return d, nil
}

// gone decides which of the absent rows are removed and which are held back.
func (r *resource[R]) gone(
	ctx context.Context, tx pgx.Tx, at list, l Listing, d difference, state listState,
) (remove, hold []string, err error) {
	if !l.Complete || len(d.absent) == 0 {
		return nil, nil, nil
	}
	var known int
	if err := tx.QueryRow(ctx, r.sql.countKnown, at.args()).Scan(&known); err != nil {
		return nil, nil, fmt.Errorf("counting known rows: %w", err)
	}
	remove, hold = guard(known, d.absent, state.heldBefore, r.allCounts)
	return remove, hold, nil
}
