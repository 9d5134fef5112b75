package store

import (
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

// listStateSQL reads the state of a list.
const listStateSQL = `
	SELECT observed_at, confirmed_at, CASE WHEN held_run < @run THEN held END, counted_run IS NOT DISTINCT FROM @run
	FROM partnersync.list_state
	WHERE customer_id = @customer_id::uuid AND resource = @resource AND batch_id = @list_batch_id`

func (l list) stateArgs(run int64) pgx.NamedArgs {
	args := l.args()
	args["run"] = run
	return args
}

// scan takes the row of listStateSQL, if there is one.
func (s *listState) scan(row pgx.Row) error {
	err := row.Scan(&s.observedAt, &s.confirmedAt, &s.heldBefore, &s.counted)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// leaveListSQL keeps what the next listing needs. Only a complete listing of which nothing is held back leaves a digest and
// a confirmation; an incomplete one leaves what is held as it was.
const leaveListSQL = `
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

// leaveListArgs are the arguments of leaveListSQL.
func (m *merging[R]) leaveListArgs(hold []string) pgx.NamedArgs {
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
	return args
}
