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
	// Unconfirmed: absent from a listing of several pages, and kept until another one lacks it too. If there were not
	// too many pages, and the listing was the first, a pass would read it again at once.
	Unconfirmed DifferenceKind = "unconfirmed"
)

// dryRun says what merge would do, in a read-only transaction, by the comparison that merge makes. Of the rows that
// would be removed, also, if it is set, says what goes along with them. Where the schema is missing, nothing is known.
func dryRun[R any](
	ctx context.Context, s *Store, r *resource[R], customerID string, of DeviceList, l Listing, rows []R,
	also func(tx pgx.Tx, removed []string) ([]Difference, error),
) (all []Difference, err error) {
	at := list{customerID: customerID, resource: r.table, devices: of}
	var m merging[R]
	err = s.readOnly(ctx, func(tx pgx.Tx) error {
		m = merging[R]{tx: tx, resource: r, list: at, listing: l, rows: rows}
		// No run has this id: whatever is held back was held back by an earlier one.
		if err := m.compareWithKnown(ctx, math.MaxInt64); err != nil || also == nil || len(m.removed) == 0 {
			return err
		}
		all, err = also(tx, m.removed)
		return err
	})
	if missing(err) {
		m.diff, err = r.compare(rows, func(func(*R, error) bool) {})
	}
	if err != nil {
		return nil, fmt.Errorf("comparing the %s: %w", at, err)
	}
	return append(m.differences(), all...), nil
}

// Reread returns the keys of a dry run's differences for which a pass would read the list again at once, to hand to the
// next comparison as AbsentBefore; nil: it would not. before is what the listing before lacked.
func Reread(pages int, before []string, differences []Difference) (absentBefore []string) {
	for _, d := range differences {
		if d.Kind == Unconfirmed {
			absentBefore = append(absentBefore, d.Key)
		}
	}
	if !mustReread(pages, before, absentBefore) {
		return nil
	}
	return absentBefore
}

// differences lists what the merge would do, by key.
func (m *merging[R]) differences() (all []Difference) {
	add := func(kind DifferenceKind, key string, changes []string) {
		all = append(all, Difference{
			Kind: kind, Resource: m.list.resource, BatchID: m.list.devices.BatchID, Key: key, Changes: changes,
		})
	}
	for _, row := range m.diff.inserted {
		add(Inserted, m.resource.key(row), nil)
	}
	for _, c := range m.diff.changed {
		add(Changed, m.resource.key(c.listed), m.resource.describe(c))
	}
	for _, key := range m.removed {
		add(Removed, key, nil)
	}
	for _, key := range m.held {
		add(Held, key, nil)
	}
	for _, key := range m.unconfirmed {
		add(Unconfirmed, key, nil)
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// missing reports whether the error is that a table or its schema does not exist: undefined_table, invalid_schema_name.
func missing(err error) bool {
	code := sqlState(err)
	return code == "42P01" || code == "3F000"
}
