package historytest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// version is a version of an item as the database has it.
type version struct {
	state
	from      time.Time
	notBefore *time.Time
	removedAt *time.Time
	to        *time.Time // nil: the current one
}

// history is the versions of each item of a list, ordered by their ends.
type history map[string][]version

// counts are rows that runs wrote.
type counts struct{ Inserted, Changed, Removed int }

// queries read the versions of each kind of list: its key, texts, a JSON array, dates, and when they held.
var queries = map[string]string{
	"deviceBatches": `
		SELECT customer_id::text, '', batch_id, ARRAY[status, created_by, devices_count::text], NULL::jsonb,
		       ARRAY[creation_date], valid_from, not_before, removed_at, valid_to
		FROM partner_center.device_batch_history
		ORDER BY valid_to`,
	"policies": `
		SELECT customer_id::text, '', policy_id, ARRAY[name, category, description], to_jsonb(policy_settings),
		       ARRAY[created_date, last_modified_date], valid_from, not_before, removed_at, valid_to
		FROM partner_center.configuration_policy_history
		ORDER BY valid_to`,
	"devices": `
		SELECT customer_id::text, batch_id, device_id,
		       ARRAY[serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by], policies,
		       ARRAY[uploaded_date], valid_from, not_before, removed_at, valid_to
		FROM partner_center.device_history
		ORDER BY valid_to`,
}

// read reads all histories and the runs' counts as of one moment.
func (c *checker) read(ctx context.Context, db *pgxpool.Pool) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, db, options, func(tx pgx.Tx) error {
		for kind, query := range queries {
			if err := c.readHistories(ctx, tx, kind, query); err != nil {
				return fmt.Errorf("reading the history of %s: %w", kind, err)
			}
		}
		const sums = `
			SELECT coalesce(sum(inserted), 0), coalesce(sum(changed), 0), coalesce(sum(removed), 0)
			FROM partner_center.sync_runs`
		if err := tx.QueryRow(ctx, sums).Scan(&c.counted.Inserted, &c.counted.Changed, &c.counted.Removed); err != nil {
			return fmt.Errorf("reading the runs' counts: %w", err)
		}
		return nil
	})
}

func (c *checker) readHistories(ctx context.Context, tx pgx.Tx, kind, query string) error {
	l := List{Kind: kind}
	var key string
	var texts []*string
	var array []byte
	var dates []*time.Time
	var v version
	rows, _ := tx.Query(ctx, query) // ForEachRow returns its error
	into := []any{&l.CustomerID, &l.BatchID, &key, &texts, &array, &dates, &v.from, &v.notBefore, &v.removedAt, &v.to}
	_, err := pgx.ForEachRow(rows, into, func() error {
		var err error
		if v.state, err = recordedState(texts, array, dates); err != nil {
			return err
		}
		v.absent = v.removedAt != nil
		if c.histories[l] == nil {
			c.histories[l] = history{}
		}
		c.histories[l][key] = append(c.histories[l][key], v)
		return nil
	})
	return err
}

// recordedState returns what a row holds in the form of what was served.
func recordedState(texts []*string, array []byte, dates []*time.Time) (state, error) {
	if array != nil {
		var values []any
		if err := json.Unmarshal(array, &values); err != nil {
			return state{}, err
		}
		text := canonical(values)
		texts = append(texts, &text)
	}
	times := make([]time.Time, len(dates))
	for i, d := range dates {
		if d != nil {
			times[i] = *d
		}
	}
	return newState(texts, times...), nil
}

// asOf returns an item's state at a time: absent before its first version, unless that is a later one of which the
// earlier ones have been pruned.
func asOf(versions []version, t time.Time) state {
	for _, v := range slices.Backward(versions) {
		if !v.from.After(t) {
			return v.state
		}
	}
	return state{absent: true, pruned: len(versions) > 0 && versions[0].notBefore != nil}
}
