package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Difference is what a merge would do to one row.
type Difference struct {
	Kind     DifferenceKind
	Resource string // such as DeviceBatches
	BatchID  string // of a device
	Key      string
	Name     *string  // of a customer, where it is known
	Changes  []string // of a changed row: each column, from what, to what, such as "status: queued -> finished"
}

// DifferenceKind says what would happen to a row.
type DifferenceKind string

// Kinds of differences.
const (
	Inserted DifferenceKind = "inserted"
	Changed  DifferenceKind = "changed"
	Removed  DifferenceKind = "removed"
	Held     DifferenceKind = "held" // absent, but kept by the mass removal guard
)

// describeSQL puts the differences of changed rows in words.
const describeSQL = `
SELECT k.{key}, array_remove(ARRAY[
    CASE WHEN k.removed_at IS NOT NULL THEN 'it is back' END,
    {changes}], NULL)
FROM {incoming}
JOIN partner_center.{table} k ON {scope} AND k.{key} = i.{key}`

// compare says what merge would do, in a read-only transaction. Where the schema is missing, nothing is known.
func compare[R any](ctx context.Context, s *Store, r *resource[R], customerID, batchID string, l Listing, rows []R) (all []Difference, err error) {
	at := list{customerID: customerID, resource: r.table, batchID: batchID}
	err = s.readOnly(ctx, func(tx *transaction) error {
		const known = `SELECT to_regclass('partner_center.' || @table::text) IS NOT NULL`
		var exists bool
		if err := tx.QueryRow(ctx, known, pgx.NamedArgs{"table": r.table}).Scan(&exists); err != nil {
			return fmt.Errorf("looking for table %s: %w", r.table, err)
		}
		if !exists {
			for _, key := range r.keys(rows) {
				all = append(all, Difference{Kind: Inserted, Key: key})
			}
			return nil
		}
		all, err = r.differences(ctx, tx, at, l, rows)
		return err
	})
	for i := range all {
		all[i].Resource, all[i].BatchID = at.resource, at.batchID
	}
	if err != nil {
		return nil, fmt.Errorf("comparing the %s: %w", at, err)
	}
	return all, nil
}

func (r *resource[R]) keys(rows []R) []string {
	keys := make([]string, len(rows))
	key := r.key.array(rows).(*array[R, string, text])
	for i := range rows {
		keys[i] = *key.get(&rows[i])
	}
	return keys
}

func (r *resource[R]) differences(ctx context.Context, tx *transaction, at list, l Listing, rows []R) ([]Difference, error) {
	var state listState
	compared, batch := comparison[R]{resource: r, rows: rows}, &pgx.Batch{}
	batch.Queue(listStateSQL, at.stateArgs(math.MaxInt64)).QueryRow(state.scan)
	compared.queue(batch, at)
	if err := tx.send(ctx, batch); err != nil {
		return nil, fmt.Errorf("reading the list as it is known: %w", err)
	}
	d, err := compared.difference(ctx, tx, at)
	if err != nil {
		return nil, err
	}
	remove, hold := r.gone(l, d, state)
	all, err := r.describe(ctx, tx, at, pick(rows, d.changed))
	if err != nil {
		return nil, err
	}
	for _, key := range r.keys(pick(rows, d.inserted)) {
		all = append(all, Difference{Kind: Inserted, Key: key})
	}
	for _, key := range remove {
		all = append(all, Difference{Kind: Removed, Key: key})
	}
	for _, key := range hold {
		all = append(all, Difference{Kind: Held, Key: key})
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

func (r *resource[R]) describe(ctx context.Context, tx *transaction, at list, changed []R) ([]Difference, error) {
	args := at.args()
	r.args(changed, args)
	result, err := tx.Query(ctx, r.sql.describe, args)
	if err != nil {
		return nil, fmt.Errorf("describing %d changes: %w", len(changed), err)
	}
	all, err := pgx.CollectRows(result, func(row pgx.CollectableRow) (Difference, error) {
		d := Difference{Kind: Changed}
		err := row.Scan(&d.Key, &d.Changes)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("describing %d changes: %w", len(changed), err)
	}
	return all, nil
}
