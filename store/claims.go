package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrClaimHeld is returned for a claim that another live worker holds.
var ErrClaimHeld = errors.New("another worker holds the claim")

// ErrClaimLost is returned by a write whose claim another worker has taken over since, or whose customer has left.
// Nothing was written.
var ErrClaimLost = errors.New("the claim was lost: another worker has taken the customer over, or it has left")

// Claim is the right to write one customer, as long as nobody else has claimed it since: its writes are fenced by owner
// and epoch.
type Claim struct {
	Run        Run
	CustomerID string // uuid, lower case
	Epoch      int64
	// Digests of the customer's lists, where their rows are exactly the current ones; else nil.
	BatchesDigest, PoliciesDigest []byte
	// DevicesDue: the run had device lists of the customer to read when it was claimed. A merge of its batches knows
	// better.
	DevicesDue bool

	outcome  string // how the run counts the customer so far; "" if it does not
	failures int    // attempts that failed since the last success
	synced   bool   // the customer has been read as a whole before
	clock    clock
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c Claim) ObservedAt(sent time.Time) time.Time { return c.clock.at(sent) }

// clock is the database's time as learned with a claim. It goes on by the local monotonic clock, and is never ahead of
// the database's, since the answer took its time to arrive.
type clock struct{ database, local time.Time }

func (c clock) at(local time.Time) time.Time {
	return c.database.Add(local.Sub(c.local)).UTC().Truncate(time.Microsecond)
}

// ClaimCustomers claims up to limit customers whose batches and policies the run has still to list and that no live
// worker holds, in the order of their ids from after on ("" is the beginning). Fewer mean that there are no more, or
// that other workers were faster.
func (s *Store) ClaimCustomers(ctx context.Context, run Run, after string, limit int) ([]Claim, error) {
	// Customers that this or a later run of the kind has done are left out. A backfill that is resumed does again those
	// that another backfill has done since.
	const candidates = `
		SELECT s.customer_id::text
		FROM partnersync.customer_state s
		LEFT JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		WHERE s.partner = @partner AND s.active AND s.customer_id > @after::uuid
		  AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		  AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		  AND (coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run)
		  AND (s.owner IS NULL OR s.owner <> @worker::uuid
		                          AND s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
		  AND EXISTS (SELECT FROM partnersync.runs WHERE run_id = @run AND state = 'running')
		ORDER BY s.customer_id
		LIMIT @limit
		FOR UPDATE OF s SKIP LOCKED`
	if after == "" {
		after = uuid.Nil.String()
	}
	args := run.args()
	args["worker"], args["after"], args["limit"] = s.worker, after, limit
	return s.claim(ctx, run, candidates, args, func(r claimRow) bool { return r.RunID == run.ID })
}

// ClaimDevices claims up to limit customers that have device lists for the run to read and that no live worker holds,
// the longest due first.
func (s *Store) ClaimDevices(ctx context.Context, run Run, limit int) ([]Claim, error) {
	// A customer that waits is claimed even if none of its lists is due any more, since a run of another kind has read
	// them: so it gets settled. A time further ahead than any list can be due was left by a clock that was set back.
	const candidates = `
		SELECT s.customer_id::text
		FROM partnersync.customer_state s
		JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		WHERE s.partner = @partner AND s.active AND r.run_id = @run AND r.devices_run_id <> @run
		  AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		  AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		  AND (r.outcome = 'waiting' OR s.devices_refresh IS DISTINCT FROM @refresh::interval
		       OR s.devices_due_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + 1.25 * @refresh::interval
		       OR @kind = 'backfill' AND s.devices_due_at IS NOT NULL)
		  AND (s.owner IS NULL OR s.owner <> @worker::uuid
		                          AND s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
		  AND EXISTS (SELECT FROM partnersync.runs WHERE run_id = @run AND state = 'running')
		ORDER BY s.devices_due_at NULLS FIRST, s.customer_id
		LIMIT @limit
		FOR UPDATE OF s SKIP LOCKED`
	if run.Devices == nil {
		return nil, nil
	}
	args := run.args()
	args["worker"], args["limit"] = s.worker, limit
	return s.claim(ctx, run, candidates, args, func(r claimRow) bool { return r.DevicesRunID == run.ID })
}

// claimRow is what is read of a customer under its claim.
type claimRow struct {
	CustomerID     string `db:"customer_id"`
	Epoch          int64  `db:"lease_epoch"`
	Failures       int    `db:"consecutive_failures"`
	Synced         bool   `db:"synced"`
	DevicesDue     bool   `db:"devices_due"`
	RunID          int64  `db:"run_id"`
	DevicesRunID   int64  `db:"devices_run_id"`
	Outcome        string `db:"outcome"`
	BatchesDigest  []byte `db:"batches_digest"`
	PoliciesDigest []byte `db:"policies_digest"`

	Now time.Time `db:"now"`
}

// claim claims the candidates:
//
//   - lock their states, passing over those that others have locked;
//   - take them over, and with it fence off whoever held them before;
//   - read what is known of them. Only now, under the claim, is it certain that no other worker of the run has done a
//     customer meanwhile: one that is done is let go again.
func (s *Store) claim(
	ctx context.Context, run Run, candidates string, args pgx.NamedArgs, done func(claimRow) bool,
) (claims []Claim, err error) {
	const claim = `
		UPDATE partnersync.customer_state
		SET owner = @worker::uuid, lease_epoch = lease_epoch + 1
		WHERE customer_id = ANY (@ids::uuid[])`
	const release = `
		UPDATE partnersync.customer_state SET owner = NULL WHERE customer_id = ANY (@ids::uuid[])`
	var local time.Time
	var rows []claimRow
	err = s.write(ctx, func(tx pgx.Tx) error {
		rows = nil
		found, _ := tx.Query(ctx, candidates, args) // CollectRows returns its error
		ids, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, claim, pgx.NamedArgs{"worker": s.worker, "ids": ids}); err != nil {
			return err
		}
		if rows, err = readClaims(ctx, tx, run, ids); err != nil {
			return err
		}
		local = time.Now()
		var superfluous []string
		for _, r := range rows {
			if done(r) {
				superfluous = append(superfluous, r.CustomerID)
			}
		}
		if superfluous != nil {
			_, err = tx.Exec(ctx, release, pgx.NamedArgs{"ids": superfluous})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming customers of partner %s: %w", run.Partner, err)
	}
	for _, r := range rows {
		if !done(r) {
			claims = append(claims, r.claim(run, clock{database: r.Now, local: local}))
		}
	}
	return claims, nil
}

// readClaims reads what is known of claimed customers, in the order of the ids.
func readClaims(ctx context.Context, tx pgx.Tx, run Run, ids []string) ([]claimRow, error) {
	const read = `
		SELECT s.customer_id::text, s.lease_epoch, s.consecutive_failures, s.last_success_at IS NOT NULL AS synced,
		       coalesce(@devices AND (s.devices_refresh IS DISTINCT FROM @refresh::interval
		                              OR s.devices_due_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + 1.25 * @refresh::interval
		                              OR @kind = 'backfill' AND s.devices_due_at IS NOT NULL), false) AS devices_due,
		       coalesce(r.run_id, 0) AS run_id, coalesce(r.devices_run_id, 0) AS devices_run_id,
		       coalesce(r.outcome, '') AS outcome, b.digest AS batches_digest, p.digest AS policies_digest,
		       clock_timestamp() AS now
		FROM unnest(@ids::uuid[]) WITH ORDINALITY AS i (customer_id, position)
		JOIN partnersync.customer_state s ON s.customer_id = i.customer_id
		LEFT JOIN partnersync.customer_runs r ON r.customer_id = i.customer_id AND r.kind = @kind
		LEFT JOIN partnersync.list_state b
		       ON b.customer_id = i.customer_id AND b.resource = 'device_batches' AND b.batch_id = ''
		LEFT JOIN partnersync.list_state p
		       ON p.customer_id = i.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
		ORDER BY i.position`
	args := run.args()
	args["ids"], args["devices"] = ids, run.Devices != nil
	rows, _ := tx.Query(ctx, read, args) // CollectRows returns its error
	return pgx.CollectRows(rows, pgx.RowToStructByName[claimRow])
}

func (r claimRow) claim(run Run, c clock) Claim {
	claim := Claim{
		Run: run, CustomerID: r.CustomerID, Epoch: r.Epoch, DevicesDue: r.DevicesDue,
		BatchesDigest: r.BatchesDigest, PoliciesDigest: r.PoliciesDigest,
		failures: r.Failures, synced: r.Synced, clock: c,
	}
	if r.RunID == run.ID {
		claim.outcome = r.Outcome
	}
	return claim
}

// EnumerationClaim is the right to say who a run's customers are. What is written under it is fenced by owner and
// epoch.
type EnumerationClaim struct {
	Run   Run
	Epoch int64
	clock clock
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c EnumerationClaim) ObservedAt(sent time.Time) time.Time { return c.clock.at(sent) }

// ClaimEnumeration claims the enumeration of the run's customers. It returns ok = false if that is done already, and
// ErrClaimHeld while another worker is at it.
func (s *Store) ClaimEnumeration(ctx context.Context, run Run) (claim EnumerationClaim, ok bool, err error) {
	const take = `
		UPDATE partnersync.partner_state s
		SET owner = @worker::uuid, lease_epoch = s.lease_epoch + 1
		FROM partnersync.runs r
		WHERE s.partner = @partner AND r.run_id = @run AND r.enumerated_at IS NULL
		  AND (s.owner IS NULL OR s.owner = @worker::uuid
		       OR s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
		RETURNING s.lease_epoch, clock_timestamp()`
	const done = `
		SELECT enumerated_at IS NOT NULL FROM partnersync.runs WHERE run_id = @run`
	const release = `
		UPDATE partnersync.partner_state SET owner = NULL WHERE partner = @partner`
	claim.Run = run
	args := pgx.NamedArgs{"worker": s.worker, "partner": run.Partner, "run": run.ID}
	var enumerated bool
	err = s.write(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(take, args).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&claim.Epoch, &claim.clock.database)
			claim.clock.local = time.Now()
			if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
		batch.Queue(done, args).QueryRow(func(row pgx.Row) error { return row.Scan(&enumerated) })
		if err := tx.SendBatch(ctx, batch).Close(); err != nil || !ok || !enumerated {
			return err
		}
		// While the claim waited for a lock, another worker has enumerated the customers: the condition of an UPDATE
		// sees the other tables as they were when the statement began.
		ok = false
		_, err := tx.Exec(ctx, release, args)
		return err
	})
	if err == nil && !ok && !enumerated {
		err = ErrClaimHeld
	}
	if err != nil {
		return claim, false, fmt.Errorf("claiming the enumeration of partner %s: %w", run.Partner, err)
	}
	return claim, ok, nil
}
