package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pruning says which superseded versions to remove. Current rows are never removed.
type Pruning struct {
	Before    time.Time // versions that ended before this
	Customers []string  // uuids; nil: of all customers
	Batch     int       // rows removed in one transaction; 0: 10,000
}

// Pruned is how many rows of a table a Pruning removes.
type Pruned struct {
	Table string // with its schema
	Rows  int64
}

// ErrMayNotPrune is returned if the database's user may not delete from the tables of superseded versions.
var ErrMayNotPrune = errors.New("the database's user may not remove history: " +
	"only a member of partnersync_owner (deploy/roles.sql), or whoever owns the tables, may")

// versionTables are the tables of superseded versions, each with the statement that removes the next versions of a
// customer. The versions of a row are removed in their order, so that those that stay never leave a gap.
var versionTables = []struct{ name, prune string }{
	{"partner_center.device_batch_versions", `
		DELETE FROM partner_center.device_batch_versions v
		USING (
		    SELECT batch_id, valid_to
		    FROM partner_center.device_batch_versions
		    WHERE customer_id = @customer_id::uuid AND valid_to < @before
		    ORDER BY batch_id, valid_to
		    LIMIT @limit
		) old
		WHERE v.customer_id = @customer_id::uuid AND v.batch_id = old.batch_id AND v.valid_to = old.valid_to`},
	{"partner_center.device_versions", `
		DELETE FROM partner_center.device_versions v
		USING (
		    SELECT batch_id, device_id, valid_to
		    FROM partner_center.device_versions
		    WHERE customer_id = @customer_id::uuid AND valid_to < @before
		    ORDER BY batch_id, device_id, valid_to
		    LIMIT @limit
		) old
		WHERE v.customer_id = @customer_id::uuid
		  AND v.batch_id = old.batch_id AND v.device_id = old.device_id AND v.valid_to = old.valid_to`},
	{"partner_center.configuration_policy_versions", `
		DELETE FROM partner_center.configuration_policy_versions v
		USING (
		    SELECT policy_id, valid_to
		    FROM partner_center.configuration_policy_versions
		    WHERE customer_id = @customer_id::uuid AND valid_to < @before
		    ORDER BY policy_id, valid_to
		    LIMIT @limit
		) old
		WHERE v.customer_id = @customer_id::uuid AND v.policy_id = old.policy_id AND v.valid_to = old.valid_to`},
	{"partner_center.customer_versions", `
		DELETE FROM partner_center.customer_versions v
		USING (
		    SELECT valid_to
		    FROM partner_center.customer_versions
		    WHERE customer_id = @customer_id::uuid AND valid_to < @before
		    ORDER BY valid_to
		    LIMIT @limit
		) old
		WHERE v.customer_id = @customer_id::uuid AND v.valid_to = old.valid_to`},
}

// CheckMayPrune returns ErrMayNotPrune if PruneVersions would be refused.
func (s *Store) CheckMayPrune(ctx context.Context) error {
	const query = `
		SELECT has_table_privilege('partner_center.customer_versions', 'DELETE')
		   AND has_table_privilege('partner_center.device_batch_versions', 'DELETE')
		   AND has_table_privilege('partner_center.device_versions', 'DELETE')
		   AND has_table_privilege('partner_center.configuration_policy_versions', 'DELETE')
		   AND has_table_privilege('partner_center.customers', 'UPDATE')`
	may, err := collect(ctx, s.readOnly, query, nil, pgx.RowTo[bool])
	if err != nil {
		return fmt.Errorf("looking for the right to prune: %w", err)
	}
	if !may[0] {
		return ErrMayNotPrune
	}
	return nil
}

// CountVersions returns how many rows of each table PruneVersions would remove.
func (s *Store) CountVersions(ctx context.Context, p Pruning) ([]Pruned, error) {
	const query = `
		SELECT (SELECT count(*) FROM partner_center.device_batch_versions
		        WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))),
		       (SELECT count(*) FROM partner_center.device_versions
		        WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))),
		       (SELECT count(*) FROM partner_center.configuration_policy_versions
		        WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))),
		       (SELECT count(*) FROM partner_center.customer_versions
		        WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers)))`
	counts := unpruned()
	err := s.readOnly(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, query, p.args()).Scan(&counts[0].Rows, &counts[1].Rows, &counts[2].Rows, &counts[3].Rows)
	})
	if err != nil {
		return nil, fmt.Errorf("counting the versions to prune: %w", err)
	}
	return counts, nil
}

// unpruned returns the tables, without rows.
func unpruned() []Pruned {
	tables := make([]Pruned, len(versionTables))
	for i, table := range versionTables {
		tables[i].Table = table.name
	}
	return tables
}

// PruneVersions removes superseded versions in many small transactions, and returns how many it has removed from each
// table, also if there is an error: those stay removed.
func (s *Store) PruneVersions(ctx context.Context, p Pruning) ([]Pruned, error) {
	const customersSQL = `
		SELECT customer_id::text FROM partner_center.customer_versions
		WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))
		UNION
		SELECT customer_id::text FROM partner_center.device_batch_versions
		WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))
		UNION
		SELECT customer_id::text FROM partner_center.device_versions
		WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))
		UNION
		SELECT customer_id::text FROM partner_center.configuration_policy_versions
		WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))
		ORDER BY customer_id`
	removed := unpruned()
	customers, err := collect(ctx, s.readOnly, customersSQL, p.args(), pgx.RowTo[string])
	if err != nil {
		return removed, fmt.Errorf("looking for customers with versions to prune: %w", err)
	}
	for _, customer := range customers {
		if err := s.notePruning(ctx, p, customer); err != nil {
			return removed, fmt.Errorf("noting that customer %s is pruned: %w", customer, err)
		}
		for i, table := range versionTables {
			if err := s.pruneCustomer(ctx, table.prune, p, customer, &removed[i].Rows); err != nil {
				return removed, fmt.Errorf("pruning %s of customer %s: %w", table.name, customer, err)
			}
		}
	}
	return removed, nil
}

// notePruning notes, before any version goes, from when on the customer's history is complete.
func (s *Store) notePruning(ctx context.Context, p Pruning, customer string) error {
	const note = `
		UPDATE partner_center.customers
		SET pruned_before = @before
		WHERE customer_id = @customer_id::uuid AND (pruned_before IS NULL OR pruned_before < @before)`
	return s.write(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, note, pgx.NamedArgs{"customer_id": customer, "before": p.Before})
		return err
	})
}

// pruneCustomer removes a customer's versions from a table, some in each transaction, and adds their number to
// removed.
func (s *Store) pruneCustomer(ctx context.Context, prune string, p Pruning, customer string, removed *int64) error {
	limit := cmp.Or(p.Batch, 10_000)
	args := p.args()
	args["customer_id"], args["limit"] = customer, limit
	for {
		var n int64
		err := s.write(ctx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, prune, args)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
		*removed += n
		if n < int64(limit) {
			return nil
		}
	}
}

func (p Pruning) args() pgx.NamedArgs {
	return pgx.NamedArgs{"before": p.Before, "customers": p.Customers}
}

// PartnersOfCustomers returns the partner of every customer there ever was, by the customer's id.
func (s *Store) PartnersOfCustomers(ctx context.Context) (map[string]string, error) {
	const query = `
		SELECT customer_id::text, partner FROM partner_center.customers`
	type owned struct{ ID, Partner string }
	customers, err := collect(ctx, s.readOnly, query, nil, pgx.RowToStructByPos[owned])
	if err != nil {
		return nil, fmt.Errorf("reading the customers: %w", err)
	}
	partners := map[string]string{}
	for _, c := range customers {
		partners[c.ID] = c.Partner
	}
	return partners, nil
}

// maxPrunedRuns is how many runs one transaction removes at most.
const maxPrunedRuns = 500

// PruneRuns removes the runs that ended longer ago than keep, with their counts and workers, and the failures of
// customers that ended then, and returns how many runs it has removed. Open runs stay, and so does the newest run of
// each partner and kind, which says what has been done. While another worker prunes, it does nothing.
func (s *Store) PruneRuns(ctx context.Context, keep time.Duration) (removed int64, err error) {
	for {
		var n int64
		err := s.write(ctx, func(tx pgx.Tx) error {
			n, err = pruneRuns(ctx, tx, keep)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("removing runs older than %v: %w", keep, err)
		}
		removed += n
		if n < maxPrunedRuns {
			return removed, nil
		}
	}
}

func pruneRuns(ctx context.Context, tx pgx.Tx, keep time.Duration) (removed int64, err error) {
	// The lock ends with the transaction.
	const lock = `
		SELECT pg_try_advisory_xact_lock(hashtextextended('partnersync.runs are pruned', 0))`
	const prune = `
		DELETE FROM partnersync.runs
		WHERE run_id IN (
		    SELECT r.run_id
		    FROM partnersync.runs r
		    WHERE r.state <> 'running' AND r.finished_at < clock_timestamp() - @keep::interval
		      AND EXISTS (
		          SELECT 1
		          FROM partnersync.runs n
		          WHERE n.partner = r.partner AND n.kind = r.kind AND n.run_id > r.run_id)
		    ORDER BY r.run_id
		    LIMIT @limit
		    FOR UPDATE OF r SKIP LOCKED)`
	var locked bool
	if err := tx.QueryRow(ctx, lock).Scan(&locked); err != nil || !locked {
		return 0, err
	}
	const failures = `
		DELETE FROM partnersync.sync_failures WHERE failing_until < clock_timestamp() - @keep::interval`
	args := pgx.NamedArgs{"keep": keep, "limit": maxPrunedRuns}
	tag, err := tx.Exec(ctx, prune, args)
	if err == nil {
		_, err = tx.Exec(ctx, failures, args)
	}
	return tag.RowsAffected(), err
}
