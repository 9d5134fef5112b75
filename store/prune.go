package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pruning says which superseded versions are to go. Current rows never do.
type Pruning struct {
	Before    time.Time // versions that ended before this
	Customers []string  // uuids; nil: of all customers
	Batch     int       // rows removed in one transaction; 0: 10,000
}

// Pruned is what a Pruning is about in one table.
type Pruned struct {
	Table string // with its schema
	Rows  int64
}

// ErrMayNotPrune is returned where the database's user may not delete from the tables of superseded versions.
var ErrMayNotPrune = errors.New("the database's user may not remove history: only a member of partnersync_owner (deploy/roles.sql), or whoever owns the tables, may")

// versionTable is a table of superseded versions and the key of what it has versions of, within a customer.
type versionTable struct {
	table string
	key   []string
}

var versionTables = []versionTable{deviceBatches.versionTable(), devices.versionTable(), configurationPolicies.versionTable()}

func (r *resource[R]) versionTable() versionTable {
	key := []string{r.keyColumn}
	if r.ofBatch {
		key = []string{"batch_id", r.keyColumn}
	}
	return versionTable{table: "partner_center." + r.versions, key: key}
}

// CheckMayPrune returns ErrMayNotPrune if PruneVersions would be refused.
func (s *Store) CheckMayPrune(ctx context.Context) error {
	for _, h := range versionTables {
		var may bool
		if err := s.pool.QueryRow(ctx, `SELECT has_table_privilege($1, 'DELETE')`, h.table).Scan(&may); err != nil {
			return fmt.Errorf("asking for the right to prune %s: %w", h.table, err)
		}
		if !may {
			return ErrMayNotPrune
		}
	}
	return nil
}

// CountVersions returns how many rows of each table PruneVersions would remove.
func (s *Store) CountVersions(ctx context.Context, p Pruning) ([]Pruned, error) {
	counts := make([]Pruned, len(versionTables))
	for i, h := range versionTables {
		count := `
			SELECT count(*)
			FROM ` + h.table + `
			WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))`
		counts[i].Table = h.table
		if err := s.pool.QueryRow(ctx, count, p.args()).Scan(&counts[i].Rows); err != nil {
			return nil, fmt.Errorf("counting the versions to prune in %s: %w", h.table, err)
		}
	}
	return counts, nil
}

// PruneVersions removes superseded versions in many small transactions, and returns what it has removed from each table,
// with an error too: that much is done then. The versions of a row go in their order, so that those that stay never
// leave a gap.
func (s *Store) PruneVersions(ctx context.Context, p Pruning) ([]Pruned, error) {
	removed := make([]Pruned, len(versionTables))
	for i, h := range versionTables {
		removed[i].Table = h.table
	}
	for i, h := range versionTables {
		customers, err := s.customersToPrune(ctx, h, p)
		if err != nil {
			return removed, err
		}
		for _, customer := range customers {
			if err := s.pruneCustomer(ctx, h, p, customer, &removed[i].Rows); err != nil {
				return removed, fmt.Errorf("pruning %s of customer %s: %w", h.table, customer, err)
			}
		}
	}
	return removed, nil
}

func (s *Store) customersToPrune(ctx context.Context, h versionTable, p Pruning) ([]string, error) {
	list := `
		SELECT DISTINCT customer_id::text
		FROM ` + h.table + `
		WHERE valid_to < @before AND (@customers::uuid[] IS NULL OR customer_id = ANY (@customers))
		ORDER BY 1`
	rows, _ := s.pool.Query(ctx, list, p.args()) // CollectRows returns its error
	customers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("looking for versions to prune in %s: %w", h.table, err)
	}
	return customers, nil
}

// pruneCustomer goes once along the key of the customer's versions, a transaction for each step, and adds to removed.
func (s *Store) pruneCustomer(ctx context.Context, h versionTable, p Pruning, customer string, removed *int64) error {
	prune := h.pruneSQL()
	args := p.args()
	args["customer_id"], args["limit"] = customer, p.batch()
	after, afterValidTo := make([]string, len(h.key)), time.Time{}
	for {
		var found, deleted int64
		err := s.write(ctx, func(tx pgx.Tx) error {
			args["after"], args["after_valid_to"] = after, afterValidTo
			err := tx.QueryRow(ctx, prune, args).Scan(&found, &deleted, &after, &afterValidTo)
			if errors.Is(err, pgx.ErrNoRows) { // none was left
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		*removed += deleted
		if found < int64(p.batch()) {
			return nil
		}
	}
}

// pruneSQL removes the next versions of one customer after a place in the order of the key, and returns how many it found
// and removed, and the place of the last one.
func (h versionTable) pruneSQL() string {
	var after, same, descending []string
	for i, name := range h.key {
		after = append(after, fmt.Sprintf("(@after::text[])[%d]", i+1))
		same = append(same, fmt.Sprintf("AND v.%[1]s = old.%[1]s", name))
		descending = append(descending, name+" DESC")
	}
	return strings.NewReplacer(
		"{table}", h.table,
		"{key}", strings.Join(h.key, ", "),
		"{after}", strings.Join(after, ", "),
		"{same key}", strings.Join(same, " "),
		"{key descending}", strings.Join(descending, ", "),
	).Replace(`
		WITH old AS (
		    SELECT {key}, valid_to
		    FROM {table}
		    WHERE customer_id = @customer_id::uuid AND valid_to < @before
		      AND ({key}, valid_to) > ({after}, @after_valid_to::timestamptz)
		    ORDER BY {key}, valid_to
		    LIMIT @limit
		), deleted AS (
		    DELETE FROM {table} v
		    USING old
		    WHERE v.customer_id = @customer_id::uuid {same key} AND v.valid_to = old.valid_to
		    RETURNING 1
		)
		SELECT count(*) OVER (), (SELECT count(*) FROM deleted), ARRAY[{key}]::text[], valid_to
		FROM old
		ORDER BY {key descending}, valid_to DESC
		LIMIT 1`)
}

func (p Pruning) args() pgx.NamedArgs {
	return pgx.NamedArgs{"before": p.Before, "customers": p.Customers}
}

func (p Pruning) batch() int {
	if p.Batch == 0 {
		return 10_000
	}
	return p.Batch
}

// PartnersOfCustomers returns the partner's name of every customer there ever was, by the customer's id.
func (s *Store) PartnersOfCustomers(ctx context.Context) (map[string]string, error) {
	const query = `
		SELECT customer_id::text, partner FROM partner_center.customers`
	rows, _ := s.pool.Query(ctx, query) // ForEachRow returns its error
	partners := map[string]string{}
	var id, partner string
	_, err := pgx.ForEachRow(rows, []any{&id, &partner}, func() error {
		partners[id] = partner
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the customers: %w", err)
	}
	return partners, nil
}
