package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Turn is what a customer is claimed for.
type Turn int

// The turns of a customer in a run, in their order. Most customers have the first one only.
const (
	FirstTurn    Turn = iota + 1 // its batches, and its policies and device lists as far as they are due
	DevicesTurn                  // more of its device lists
	PoliciesTurn                 // its policies, which were not due
)

// Candidate is a customer with something left to do in a run, and what is known of it.
type Candidate struct {
	CustomerID string `db:"customer_id"`
	Turn       Turn   `db:"turn"`
	// ReadAt is when the customer was last read, whatever the outcome; nil: never.
	ReadAt *time.Time `db:"read_at"`
	// LastSuccessAt is when the customer was last read as a whole; nil: never.
	LastSuccessAt *time.Time `db:"last_success_at"`
	// UnfinishedAt is when the newest version of a batch in no terminal status began; nil: there is none.
	UnfinishedAt *time.Time `db:"unfinished_at"`
	// ChangedAt is when a listing last opened a version, first listings aside; nil: none has.
	ChangedAt *time.Time `db:"changed_at"`
	Failures  int        `db:"failures"` // since the last attempt without one
	// Reread: the batch list comes first in this pass, which does not cut the turn off: the last one did.
	Reread   bool `db:"reread"`
	ListsDue int  `db:"lists_due"` // device lists that are to be read in each pass, as of the last time
	// PoliciesAt is when the policies were last read completely; nil: never.
	PoliciesAt *time.Time `db:"policies_at"`
}

// Requests estimates how many requests the customer's first turn takes, without those for policies, due once a day.
func (c Candidate) Requests() int { return 1 + min(c.ListsDue, maxListsOfTurn) }

// Candidates returns the customers that have something left to do in the run, in no order, those that other workers
// hold among them. One that a later run of the kind has tried is left to that run: it was another partner's then. Not
// so for a backfill, which may go on after another one that began later.
func (s *Store) Candidates(ctx context.Context, run Run) ([]Candidate, error) {
	const query = `
		SELECT s.customer_id::text,
		       CASE WHEN coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run THEN 1
		            WHEN r.devices_left AND @devices THEN 2
		            ELSE 3 END AS turn,
		       greatest(s.last_attempt_at, s.last_success_at) AS read_at, s.last_success_at,
		       s.unfinished_at, s.changed_at, s.consecutive_failures AS failures, s.reread,
		       s.lists_due, p.confirmed_at AS policies_at
		FROM partnersync.customer_state s
		LEFT JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		LEFT JOIN partnersync.list_state p
		       ON p.customer_id = s.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
		WHERE s.partner = @partner AND s.active
		  AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		  AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		  AND (coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run
		       OR r.run_id = @run AND (r.devices_left AND @devices
		                               OR @policies AND r.outcome = 'ok' AND p.last_run IS DISTINCT FROM @run))`
	candidates, err := collect(ctx, s.readOnly, query, run.args(), pgx.RowToStructByName[Candidate])
	if err != nil {
		return nil, fmt.Errorf("reading which customers run %d has left to do: %w", run.ID, err)
	}
	return candidates, nil
}

// ErrClaimHeld is returned for a claim that another live worker holds.
var ErrClaimHeld = errors.New("another worker holds the claim")

// ErrClaimLost is returned by a write whose claim another worker has taken over since, or whose customer has left.
// Nothing was written.
var ErrClaimLost = errors.New("the claim was lost: another worker has taken the customer over, or it has left")

// Claim is the right to write one customer, as long as nobody else has claimed it since: its writes are fenced by owner
// and epoch, which counts claims. With it comes what is known of the customer under the claim.
//
// It ends when RecordResults, LeaveRun, OpenRun or ReleaseClaims releases it, when another worker takes it over once
// this one is no longer live, and when the customer leaves.
type Claim struct {
	Run Run `db:"-"`
	Candidate
	Clock
	Epoch int64 `db:"lease_epoch"`
	// Digests of the customer's lists, where their rows are exactly the current ones; else nil.
	BatchesDigest  []byte `db:"batches_digest"`
	PoliciesDigest []byte `db:"policies_digest"`
	// PoliciesStaleAt is when the last read of the policies failed or was held; nil: it was complete.
	PoliciesStaleAt *time.Time `db:"policies_stale_at"`
	// DevicesDue: the run has device lists to read. A merge of the customer's batches knows better.
	DevicesDue   bool `db:"devices_due"`
	ListsFailing int  `db:"lists_failing"` // device lists that fail, and are not refused lastingly
	Failed       bool `db:"failed"`        // the run counts the customer as failed already
}

// Clock is the database's time as learned with a claim or a heartbeat. It goes on by the local monotonic clock, and is
// never ahead of the database's, since the answer took its time to arrive.
type Clock struct {
	Database time.Time `db:"now"`
	Local    time.Time `db:"-"`
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c Clock) ObservedAt(sent time.Time) time.Time {
	return c.Database.Add(sent.Sub(c.Local)).UTC().Truncate(time.Microsecond)
}

// ClaimCustomers claims those of the customers that have this turn to come in the run and that no live worker holds, in
// the order of ids:
//
//   - lock their states, passing over those that others have locked;
//   - take them over, and with it fence off whoever held them before;
//   - read what is known of them. Only now, under the claim, is it certain that no other worker of the run has done a
//     customer's turn meanwhile: one that is done is let go again.
func (s *Store) ClaimCustomers(ctx context.Context, run Run, turn Turn, ids []string) (claims []Claim, err error) {
	const lock = `
		SELECT s.customer_id::text
		FROM partnersync.customer_state s
		WHERE s.customer_id = ANY (@ids::uuid[]) AND s.partner = @partner AND s.active
		  AND (s.owner IS NULL OR s.owner <> @worker::uuid
		                          AND s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
		  AND EXISTS (SELECT FROM partnersync.runs WHERE run_id = @run AND state = 'running')
		ORDER BY s.customer_id
		FOR UPDATE OF s SKIP LOCKED`
	const claim = `
		UPDATE partnersync.customer_state
		SET owner = @worker::uuid, lease_epoch = lease_epoch + 1
		WHERE customer_id = ANY (@locked::uuid[])`
	const release = `
		UPDATE partnersync.customer_state SET owner = NULL WHERE customer_id = ANY (@ids::uuid[])`
	err = s.write(ctx, func(tx pgx.Tx) error {
		claims = nil
		args := run.args()
		args["worker"], args["ids"] = s.worker, ids
		found, _ := tx.Query(ctx, lock, args) // CollectRows returns its error
		locked, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil || len(locked) == 0 {
			return err
		}
		args["locked"] = locked
		var read []Claim
		batch := batchOf(args, claim)
		batch.Queue(readClaimsSQL, args).Query(func(rows pgx.Rows) (err error) {
			read, err = pgx.CollectRows(rows, pgx.RowToStructByName[Claim])
			return err
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		local := time.Now()
		var superfluous []string
		for _, c := range read {
			c.Run, c.Local = run, local
			if c.Turn == turn {
				claims = append(claims, c)
			} else {
				superfluous = append(superfluous, c.CustomerID)
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
	return claims, nil
}

// readClaimsSQL reads what is known of the customers that have been locked, in the order of ids.
const readClaimsSQL = `
	SELECT s.customer_id::text, s.lease_epoch,
	       CASE WHEN coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run THEN 1
	            WHEN r.run_id > @run THEN 0
	            WHEN r.devices_left AND @devices THEN 2
	            WHEN @policies AND r.outcome = 'ok' AND p.last_run IS DISTINCT FROM @run THEN 3
	            ELSE 0 END AS turn,
	       greatest(s.last_attempt_at, s.last_success_at) AS read_at, s.last_success_at,
	       s.unfinished_at, s.changed_at, s.consecutive_failures AS failures, s.reread, s.lists_due,
	       s.lists_failing - s.lists_refused AS lists_failing,
	       coalesce(r.run_id = @run AND r.outcome = 'failed', false) AS failed,
	       coalesce(@devices AND (s.devices_refresh IS DISTINCT FROM @refresh::interval
	                              OR s.devices_due_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + 1.25 * @refresh::interval
	                              OR @kind = 'backfill' AND s.devices_due_at IS NOT NULL), false) AS devices_due,
	       b.digest AS batches_digest, p.digest AS policies_digest, p.confirmed_at AS policies_at,
	       p.stale_at AS policies_stale_at, clock_timestamp() AS now
	FROM unnest(@ids::uuid[]) WITH ORDINALITY AS i (customer_id, position)
	JOIN partnersync.customer_state s ON s.customer_id = i.customer_id
	LEFT JOIN partnersync.customer_runs r ON r.customer_id = i.customer_id AND r.kind = @kind
	LEFT JOIN partnersync.list_state b
	       ON b.customer_id = i.customer_id AND b.resource = 'device_batches' AND b.batch_id = ''
	LEFT JOIN partnersync.list_state p
	       ON p.customer_id = i.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
	WHERE i.customer_id = ANY (@locked::uuid[])
	ORDER BY i.position`

// policiesRefresh is how long after the last complete read, and up to a quarter more, a customer's policies are due
// again, though nothing hints at a change.
const policiesRefresh = 24 * time.Hour

// PoliciesDue reports whether the customer's policies are due: if they were never read completely, if the last read
// failed, if something of the customer has changed since, and else once a day. A merge of its batches knows better.
func (c Claim) PoliciesDue() bool {
	now := c.Database
	if c.PoliciesAt == nil || c.PoliciesStaleAt != nil || c.PoliciesAt.After(now.Add(clockTolerance)) {
		return true
	}
	if c.ChangedAt != nil && c.ChangedAt.After(*c.PoliciesAt) {
		return true
	}
	return !c.PoliciesAt.Add(spread(policiesRefresh, c.CustomerID)).After(now)
}

// EnumerationClaim is the right to say who a run's customers are. What is written under it is fenced by owner and
// epoch.
type EnumerationClaim struct {
	Clock
	Run   Run
	Epoch int64
}

// ClaimEnumeration claims the enumeration of the run's customers. It returns ErrClaimHeld while another worker is at
// it, and ok = false if it is done already, with the run as it is now.
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
	claim.Run = run
	args := pgx.NamedArgs{"worker": s.worker, "partner": run.Partner, "run": run.ID}
	var enumerated bool
	err = s.write(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(take, args).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&claim.Epoch, &claim.Database)
			claim.Local = time.Now()
			if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
		batch.Queue(done, args).QueryRow(func(row pgx.Row) error { return row.Scan(&enumerated) })
		if err := tx.SendBatch(ctx, batch).Close(); err != nil || !enumerated {
			return err
		}
		// Perhaps another worker has enumerated the customers while the claim waited for a lock: the condition of an
		// UPDATE sees the other tables as they were when the statement began.
		ok = false
		batch = batchOf(args, releaseEnumerationSQL)
		queueReadRun(batch, &claim.Run)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil && !ok && !enumerated {
		err = ErrClaimHeld
	}
	if err != nil {
		return claim, false, fmt.Errorf("claiming the enumeration of partner %s: %w", run.Partner, err)
	}
	return claim, ok, nil
}
