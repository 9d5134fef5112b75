package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// listState is what an earlier listing left behind.
type listState struct {
	observedAt  time.Time // zero: never listed
	confirmedAt *time.Time
	heldBefore  []string // keys held back by an earlier run
}

func readListState(ctx context.Context, tx pgx.Tx, customerID, resource string, run int64) (state listState, err error) {
	const read = `
		SELECT observed_at, confirmed_at, CASE WHEN held_run < @run THEN held END
		FROM partnersync.list_state
		WHERE customer_id = @customer_id::uuid AND resource = @resource AND batch_id = ''`
	args := pgx.NamedArgs{"customer_id": customerID, "resource": resource, "run": run}
	err = tx.QueryRow(ctx, read, args).Scan(&state.observedAt, &state.confirmedAt, &state.heldBefore)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return state, fmt.Errorf("reading the state of the list: %w", err)
	}
	return state, nil
}

// writeListState keeps what the next listing needs. Only a complete listing of which nothing is held back leaves a
// digest and a confirmation; an incomplete one leaves what is held as it was.
func (m *merging[R]) writeListState(ctx context.Context, hold []string) error {
	const write = `
		INSERT INTO partnersync.list_state AS l
		    (customer_id, resource, observed_at, confirmed_at, digest, rows, held, held_run)
		VALUES (@customer_id::uuid, @resource, @observed_at, @confirmed_at, @digest, @rows, @held, CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END)
		ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET
		    observed_at  = excluded.observed_at,
		    confirmed_at = coalesce(excluded.confirmed_at, l.confirmed_at),
		    digest       = excluded.digest,
		    rows         = excluded.rows,
		    held         = CASE WHEN @complete THEN excluded.held ELSE l.held END,
		    held_run     = CASE WHEN @complete THEN excluded.held_run ELSE l.held_run END`
	observedAt := m.observedAt()
	args := pgx.NamedArgs{
		"customer_id": m.claim.CustomerID, "resource": m.resource.table, "run": m.claim.Run.ID, "observed_at": observedAt,
		"confirmed_at": nil, "digest": nil, "rows": len(m.rows), "held": hold, "complete": m.listing.Complete,
	}
	if m.listing.Complete && hold == nil {
		args["confirmed_at"], args["digest"] = observedAt, m.listing.Digest
	}
	if _, err := m.tx.Exec(ctx, write, args); err != nil {
		return fmt.Errorf("writing the state of the list: %w", err)
	}
	return nil
}
