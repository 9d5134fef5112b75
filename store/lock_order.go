package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// Transactions lock rows in one order, so that no two of them wait for each other. Each may leave out any of:
//
//  1. the partner's state: who opens, leaves, enumerates or ends a run;
//  2. customers, and
//  3. the states of customers, each in the order of the customers' ids;
//  4. what belongs to these customers alone, such as their lists, outcomes and versions, and the lock on a customer's node,
//     in any order: only who has a customer's state locked comes to it;
//  5. the run;
//  6. its counts, which come last since others wait for them until the commit.
//
// A statement that writes several rows follows no order by itself: it has them locked before, by one that does. Claims
// wait for nobody. What the server ends for a deadlock all the same is run again.

// lockStates locks the states of customers, which may have none yet.
func lockStates(ctx context.Context, tx pgx.Tx, ids []string) error {
	const lock = `
		SELECT FROM partnersync.customer_state WHERE customer_id = ANY (@ids::uuid[]) ORDER BY customer_id FOR UPDATE`
	slices.Sort(ids)
	for some := range slices.Chunk(ids, customersAtOnce) {
		if _, err := tx.Exec(ctx, lock, pgx.NamedArgs{"ids": some}); err != nil {
			return fmt.Errorf("locking the states of %s: %w", plural.Of(len(some), "customer", "customers"), err)
		}
	}
	return nil
}
