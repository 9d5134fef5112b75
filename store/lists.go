package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// list is one of the lists that the API gives, and so one row of partnersync.list_state.
type list struct{ customerID, resource, batchID string }

func (l list) String() string {
	if l.batchID != "" {
		return fmt.Sprintf("%s of batch %q of customer %s", l.resource, l.batchID, l.customerID)
	}
	return fmt.Sprintf("%s of customer %s", l.resource, l.customerID)
}

func (l list) args() pgx.NamedArgs {
	return pgx.NamedArgs{"customer_id": l.customerID, "resource": l.resource, "list_batch_id": l.batchID}
}

// listState is what an earlier listing left behind.
type listState struct {
	observedAt  *time.Time // nil: never listed
	confirmedAt *time.Time
	heldBefore  []string // keys held back by an earlier run
	counted     bool     // the run has counted the list's rows before
}

func readListState(ctx context.Context, tx pgx.Tx, at list, run int64) (state listState, err error) {
	const read = `
		SELECT observed_at, confirmed_at, CASE WHEN held_run < @run THEN held END, counted_run IS NOT DISTINCT FROM @run
		FROM partnersync.list_state
		WHERE customer_id = @customer_id::uuid AND resource = @resource AND batch_id = @list_batch_id`
	args := at.args()
	args["run"] = run
	err = tx.QueryRow(ctx, read, args).Scan(&state.observedAt, &state.confirmedAt, &state.heldBefore, &state.counted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return state, fmt.Errorf("reading the state of the list: %w", err)
	}
	return state, nil
}

// writeListState keeps what the next listing needs. Only a complete listing of which nothing is held back leaves a
// digest and a confirmation; an incomplete one leaves what is held as it was.
func (m *merging[R]) writeListState(ctx context.Context, hold []string) error {
	const write = `
		INSERT INTO partnersync.list_state AS l (
		    customer_id, resource, batch_id, observed_at, confirmed_at, digest, rows, held, held_run,
		    batch_status, batch_devices_count, stale_at, counted_run)
		VALUES (
		    @customer_id::uuid, @resource, @list_batch_id, @observed_at, @confirmed_at, @digest, @rows, @held,
		    CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END, @batch_status, @batch_devices_count,
		    CASE WHEN @stale THEN @observed_at::timestamptz END, @run::bigint)
		ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET
		    observed_at         = excluded.observed_at,
		    confirmed_at        = coalesce(excluded.confirmed_at, l.confirmed_at),
		    digest              = excluded.digest,
		    rows                = excluded.rows,
		    held                = CASE WHEN @complete THEN excluded.held ELSE l.held END,
		    held_run            = CASE WHEN @complete THEN excluded.held_run ELSE l.held_run END,
		    batch_status        = CASE WHEN @stale THEN l.batch_status ELSE excluded.batch_status END,
		    batch_devices_count = CASE WHEN @stale THEN l.batch_devices_count ELSE excluded.batch_devices_count END,
		    stale_at            = excluded.stale_at,
		    counted_run         = excluded.counted_run`
	observedAt := m.observedAt()
	confirmed := m.listing.Complete && hold == nil
	args := m.list.args()
	args["run"], args["observed_at"], args["rows"], args["held"] = m.claim.Run.ID, observedAt, len(m.rows), hold
	args["complete"], args["stale"] = m.listing.Complete, !confirmed && m.resource.ofBatch
	args["confirmed_at"], args["digest"] = nil, nil
	args["batch_status"], args["batch_devices_count"] = m.batch.Status, m.batch.DevicesCount
	if confirmed {
		args["confirmed_at"], args["digest"] = observedAt, m.listing.Digest
	}
	if _, err := m.tx.Exec(ctx, write, args); err != nil {
		return fmt.Errorf("writing the state of the list: %w", err)
	}
	return nil
}
