package timeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/sync/partnercenter/partnercentertest"
)

// version is a version of an item as the database has it.
type version struct {
	state
	from      time.Time
	notBefore *time.Time
	removed   *time.Time
	to        *time.Time // nil: the current one
}

// history is the versions of each of a list's items, in the order of their ends.
type history map[string][]version

// records are what the database has.
type records struct {
	histories map[partnercentertest.List]history
	counts    counts
}

// counts are rows that runs wrote.
type counts struct{ Inserted, Changed, Removed int }

// The versions of each kind of list: key, texts, JSON arrays, dates, and when.
var queries = map[partnercentertest.ListKind]string{
	partnercentertest.BatchList: `
		SELECT customer_id::text, '', batch_id, ARRAY[status, created_by, devices_count::text], NULL::jsonb, ARRAY[creation_date],
		       valid_from, not_before, removed_at, nullif(valid_to, 'infinity')
		FROM partner_center.device_batch_history`,
	partnercentertest.PolicyList: `
		SELECT customer_id::text, '', policy_id, ARRAY[name, category, description], to_jsonb(policy_settings), ARRAY[created_date, last_modified_date],
		       valid_from, not_before, removed_at, nullif(valid_to, 'infinity')
		FROM partner_center.configuration_policy_history`,
	partnercentertest.DeviceList: `
		SELECT customer_id::text, batch_id, device_id,
		       ARRAY[serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by], policies, ARRAY[uploaded_date],
		       valid_from, not_before, removed_at, nullif(valid_to, 'infinity')
		FROM partner_center.device_history`,
}

// read reads everything as of one moment.
func read(ctx context.Context, db *pgxpool.Pool) (r records, err error) {
	r.histories = map[partnercentertest.List]history{}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db, options, func(tx pgx.Tx) error {
		for kind, query := range queries {
			if err := r.readHistories(ctx, tx, kind, query); err != nil {
				return fmt.Errorf("reading the history of %s: %w", kind, err)
			}
		}
		const sums = `
			SELECT coalesce(sum(inserted), 0), coalesce(sum(changed), 0), coalesce(sum(removed), 0) FROM partner_center.sync_runs`
		if err := tx.QueryRow(ctx, sums).Scan(&r.counts.Inserted, &r.counts.Changed, &r.counts.Removed); err != nil {
			return fmt.Errorf("reading the runs' counts: %w", err)
		}
		return nil
	})
	return r, err
}

func (r *records) readHistories(ctx context.Context, tx pgx.Tx, kind partnercentertest.ListKind, query string) error {
	list := partnercentertest.List{Kind: kind}
	var key string
	var texts []*string
	var array []byte
	var dates []*time.Time
	var v version
	rows, _ := tx.Query(ctx, query) // ForEachRow returns its error
	into := []any{&list.CustomerID, &list.BatchID, &key, &texts, &array, &dates, &v.from, &v.notBefore, &v.removed, &v.to}
	_, err := pgx.ForEachRow(rows, into, func() error {
		var err error
		if v.state, err = recordedState(texts, array, dates); err != nil {
			return err
		}
		v.gone = v.removed != nil
		if r.histories[list] == nil {
			r.histories[list] = history{}
		}
		r.histories[list][key] = append(r.histories[list][key], v)
		return nil
	})
	for _, h := range r.histories {
		for _, versions := range h {
			slices.SortStableFunc(versions, func(a, b version) int { return compareEnds(a.to, b.to) })
		}
	}
	return err
}

// recordedState puts what a row has in the form of what was served.
func recordedState(texts []*string, array []byte, dates []*time.Time) (state, error) {
	if array != nil {
		var values []any
		if err := json.Unmarshal(array, &values); err != nil {
			return state{}, err
		}
		text := canonical(values)
		texts = append(texts, &text)
	}
	at := make([]time.Time, len(dates))
	for i, d := range dates {
		if d != nil {
			at[i] = *d
		}
	}
	return newState(texts, at...), nil
}

// compareEnds compares the ends of versions; nil is the end of all.
func compareEnds(a, b *time.Time) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(rank(a), rank(b))
	default:
		return a.Compare(*b)
	}
}

func rank(end *time.Time) int {
	if end == nil {
		return 1
	}
	return 0
}

// at returns an item's state as of a time: absent before its first version.
func at(versions []version, t time.Time) state {
	for _, v := range slices.Backward(versions) {
		if !v.from.After(t) {
			return v.state
		}
	}
	return state{gone: true}
}
