package store

import (
	"github.com/jackc/pgx/v5"
)

// Counts are added to a run by the transaction that did what they count. Rows are those of all resources.
type Counts struct {
	CustomersOK, CustomersFailed          int
	Inserted, Changed, Removed, Unchanged int
	Requests, Retries                     int
}

// queue adds the counts to one of the run's shards. Queue it last: whoever writes to the same shard waits for the commit.
func (c Counts) queue(batch *pgx.Batch, run int64, shard int) {
	if c == (Counts{}) {
		return
	}
	const add = `
		INSERT INTO partnersync.run_counts AS n (
		    run_id, shard, customers_ok, customers_failed, inserted, changed, removed, unchanged, requests, retries)
		VALUES (@run, @shard, @customers_ok, @customers_failed, @inserted, @changed, @removed, @unchanged, @requests, @retries)
		ON CONFLICT (run_id, shard) DO UPDATE SET
		    customers_ok     = n.customers_ok + excluded.customers_ok,
		    customers_failed = n.customers_failed + excluded.customers_failed,
		    inserted         = n.inserted + excluded.inserted,
		    changed          = n.changed + excluded.changed,
		    removed          = n.removed + excluded.removed,
		    unchanged        = n.unchanged + excluded.unchanged,
		    requests         = n.requests + excluded.requests,
		    retries          = n.retries + excluded.retries`
	batch.Queue(add, pgx.NamedArgs{
		"run": run, "shard": shard,
		"customers_ok": c.CustomersOK, "customers_failed": c.CustomersFailed,
		"inserted": c.Inserted, "changed": c.Changed, "removed": c.Removed, "unchanged": c.Unchanged,
		"requests": c.Requests, "retries": c.Retries,
	})
}
