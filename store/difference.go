package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// difference is what sets a listing apart from the known rows: positions among the listed rows, keys of the absent ones.
type difference struct {
	inserted, changed, refreshed []int
	absent                       []string
	known                        int // rows that are known and not removed
}

// comparison sets listed rows against the known ones as those come from PostgreSQL. Nearly all are stored just as they
// are listed, and that is seen here; of the others, PostgreSQL says whether they differ.
type comparison[R any] struct {
	*resource[R]
	rows      []R
	positions map[string]int // of the listed rows, by key; nil if nothing is known
	met       []bool         // of each listed row, whether it is known
	otherwise []int          // listed rows that are stored otherwise
	found     difference     // so far
}

// queue asks for the known rows.
func (c *comparison[R]) queue(batch *pgx.Batch, at list) {
	batch.Queue(c.sql.known, at.args()).Query(c.read)
}

func (c *comparison[R]) read(known pgx.Rows) error {
	if err := known.Err(); err != nil {
		return err // pgx panics when asked for the fields of rows that did not come
	}
	fields := known.FieldDescriptions()
	for known.Next() {
		if c.positions == nil {
			c.begin()
		}
		values := known.RawValues()
		key, removed, values := values[0], values[1] != nil, values[2:]
		if !removed {
			c.found.known++
		}
		i, listed := c.positions[string(key)]
		switch {
		case listed:
			c.met[i] = true
			if removed || !c.justSo(&c.rows[i], values, fields[2:]) {
				c.otherwise = append(c.otherwise, i)
			}
		case !removed:
			c.found.absent = append(c.found.absent, string(key))
		}
	}
	return known.Err()
}

func (c *comparison[R]) begin() {
	c.positions, c.met = make(map[string]int, len(c.rows)), make([]bool, len(c.rows))
	for i, key := range c.keys(c.rows) {
		c.positions[key] = i
	}
}

// difference returns what the comparison found, once the known rows have been read.
func (c *comparison[R]) difference(ctx context.Context, tx *transaction, at list) (difference, error) {
	d := c.found
	if c.positions == nil {
		d.inserted = make([]int, 0, len(c.rows))
	}
	for i := range c.rows {
		if c.positions == nil || !c.met[i] {
			d.inserted = append(d.inserted, i)
		}
	}
	if len(c.otherwise) == 0 {
		return d, nil
	}
	args := at.args()
	c.args(pick(c.rows, c.otherwise), args)
	result, _ := tx.Query(ctx, c.sql.compare, args) // ForEachRow returns its error
	var key string
	var opens bool
	_, err := pgx.ForEachRow(result, []any{&key, &opens}, func() error {
		if i := c.positions[key]; opens {
			d.changed = append(d.changed, i)
		} else {
			d.refreshed = append(d.refreshed, i)
		}
		return nil
	})
	if err != nil {
		return d, fmt.Errorf("comparing %d rows: %w", len(c.otherwise), err)
	}
	return d, nil
}

// gone decides which of the absent rows are removed and which are held back.
func (r *resource[R]) gone(l Listing, d difference, state listState) (remove, hold []string) {
	if !l.Complete {
		return nil, nil
	}
	return guard(d.known, d.absent, state.heldBefore, r.allCounts)
}
