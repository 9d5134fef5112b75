package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Result is how the work on one claimed customer ended: on its batches and policies, or on its device lists.
type Result struct {
	Claim Claim
	// Confirmed are the lists that came as they were known: nothing of them was merged.
	Confirmed []Confirmation
	// Requests and Retries are HTTP attempts, and those after the first.
	Requests, Retries int
	Failure           *Failure // nil: all lists were read and merged

	// OfDevices: the work was on the device lists.
	OfDevices bool
	// FailedBatches are the batches whose device lists could not be read.
	FailedBatches []string
	// AwaitsDevices: the customer has device lists to be read, and its outcome waits for them, unless it has failed already.
	AwaitsDevices bool
	// SkipsDevices: the run does without the customer's device lists.
	SkipsDevices bool
}

// Confirmation is a complete listing equal to the one that the list's digest stands for.
type Confirmation struct {
	Resource   string // such as DeviceBatches
	Batch      Batch  // whose devices are listed
	ObservedAt time.Time
}

// Failure is why a customer failed, as sync_freshness shows it.
type Failure struct {
	Code, Message            string
	RequestID, CorrelationID string
}

// RecordResults writes the results of claimed customers, gives their claims back, and adds to the run's counts, in one
// fenced transaction. It returns how many of the claims had been lost: nothing is written for those.
func (s *Store) RecordResults(ctx context.Context, run Run, results []Result) (lost int, err error) {
	return s.record(ctx, run, results, &pgx.Batch{})
}

// RecordLastResults is RecordResults for those that may be the run's last, and FinishRun with them. It returns the run as it is
// then.
func (s *Store) RecordLastResults(ctx context.Context, run Run, results []Result) (now Run, lost int, err error) {
	if len(results) == 0 {
		return run, 0, nil
	}
	ended, finish := false, &pgx.Batch{}
	s.finish(finish, run, false, &ended)
	queueRead(finish, run.ID, &now)
	if lost, err = s.record(ctx, run, results, finish); err != nil {
		return run, 0, err
	}
	now = now.asked(run)
	now.EndedHere = ended
	return now, lost, nil
}

// record writes results and then executes more statements.
func (s *Store) record(ctx context.Context, run Run, results []Result, then *pgx.Batch) (lost int, err error) {
	if len(results) == 0 {
		return 0, nil
	}
	noted := false
	err = s.write(ctx, func(tx *transaction) error {
		verdicts, err := giveBack(ctx, tx, run, results)
		if err != nil {
			return err
		}
		lost = len(results) - len(verdicts)
		results = slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return verdicts[r.Claim.CustomerID] == nil })
		if noted, err = noteResults(ctx, s, tx, run, results, verdicts); err != nil {
			return err
		}
		counts, last := Counts{}, &pgx.Batch{}
		for _, r := range results {
			counts.Requests += r.Requests
			counts.Retries += r.Retries
			verdicts[r.Claim.CustomerID].count(&counts)
			rescheduleDevices(last, r)
		}
		counts.queue(last, run.ID, 0)
		last.QueuedQueries = append(last.QueuedQueries, then.QueuedQueries...)
		if err := tx.end(ctx, last); err != nil {
			return fmt.Errorf("adding to run %d, and noting when device lists are due: %w", run.ID, err)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("recording the results of %d customers of partner %s: %w", len(results), run.Partner, err)
	}
	if noted {
		s.wakeSender()
	}
	return lost, nil
}

// verdict is what a result means for its customer.
type verdict struct {
	CustomerID string `db:"customer_id"`
	Verdict    string `db:"verdict"` // ok, failed, waits (for the device lists) or stays (as the other lists left it)
	WasOK      bool   `db:"was_ok"`  // the run has counted the customer as ok before

	Failures       int        `db:"failures"`        // in a row, as they are now
	FailuresBefore int        `db:"failures_before"` // and as they were
	FailingSince   *time.Time `db:"failing_since"`
	Synced         bool       `db:"synced"` // it has been read as a whole before

	// Unchanged is how many rows all lists have that were confirmed, the same in each verdict: those that the run has counted
	// already are left out.
	Unchanged int `db:"unchanged"`
}

func (v *verdict) count(c *Counts) {
	c.Unchanged = v.Unchanged
	switch v.Verdict {
	case "ok":
		c.CustomersOK++
	case "failed":
		c.CustomersFailed++
		if v.WasOK {
			c.CustomersOK--
		}
	}
}

// recordSQL writes outcomes under claims that still hold, and moves the confirmation of these customers' unchanged lists on. A
// customer that failed by its other lists keeps that failure, whatever its device lists do. {kind} is the run's.
const recordSQL = `
	WITH given_back AS (
	    UPDATE partnersync.customer_state s
	    SET owner = NULL,
	        {kind}_run           = CASE WHEN r.of_devices THEN s.{kind}_run ELSE @run::bigint END,
	        {kind}_devices_run   = CASE WHEN r.devices_done THEN @run::bigint ELSE s.{kind}_devices_run END,
	        {kind}_outcome       = CASE v.verdict WHEN 'stays' THEN s.{kind}_outcome ELSE v.verdict END,
	        last_attempt_at      = CASE v.verdict WHEN 'ok' THEN s.last_attempt_at ELSE w.now END, -- a success says enough
	        last_success_at      = CASE v.verdict WHEN 'ok' THEN w.now ELSE s.last_success_at END,
	        consecutive_failures = CASE v.verdict WHEN 'ok' THEN 0 WHEN 'failed' THEN s.consecutive_failures + 1 ELSE s.consecutive_failures END,
	        failing_since        = CASE v.verdict WHEN 'ok' THEN NULL WHEN 'failed' THEN coalesce(s.failing_since, w.now) ELSE s.failing_since END,
	        last_error_code      = CASE WHEN v.verdict IN ('ok', 'failed') THEN r.code ELSE s.last_error_code END,
	        last_error           = CASE WHEN v.verdict IN ('ok', 'failed') THEN r.message ELSE s.last_error END,
	        last_request_id      = CASE WHEN v.verdict IN ('ok', 'failed') THEN r.request_id ELSE s.last_request_id END,
	        last_correlation_id  = CASE WHEN v.verdict IN ('ok', 'failed') THEN r.correlation_id ELSE s.last_correlation_id END
	    FROM unnest(@ids::text[]::uuid[], @epochs::bigint[], @of_devices::boolean[], @waits::boolean[], @devices_done::boolean[],
	                @failed::boolean[], @codes::text[], @messages::text[], @request_ids::text[], @correlation_ids::text[])
	         AS r (customer_id, epoch, of_devices, waits, devices_done, failed, code, message, request_id, correlation_id)
	    JOIN partnersync.customer_state o ON o.customer_id = r.customer_id
	    CROSS JOIN LATERAL (
	        -- How the run has counted the customer so far; null if it has not.
	        SELECT CASE WHEN o.{kind}_run = @run::bigint THEN o.{kind}_outcome END AS outcome,
	               clock_timestamp() AS now
	    ) w
	    CROSS JOIN LATERAL (
	        SELECT CASE WHEN r.waits THEN 'waits'
	                    WHEN NOT r.of_devices OR w.outcome = 'waits' THEN CASE WHEN r.failed THEN 'failed' ELSE 'ok' END
	                    WHEN r.failed AND w.outcome = 'ok' THEN 'failed'
	                    ELSE 'stays' END AS verdict
	    ) v
	    WHERE s.customer_id = r.customer_id AND s.lease_epoch = r.epoch AND s.owner IS NOT NULL
	    RETURNING s.customer_id, v.verdict, r.of_devices AND w.outcome IS NOT DISTINCT FROM 'ok' AS was_ok,
	              s.consecutive_failures AS failures, o.consecutive_failures AS failures_before, s.failing_since,
	              o.last_success_at IS NOT NULL AS synced
	), confirmed AS (
	    UPDATE partnersync.list_state l
	    SET observed_at  = greatest(c.observed_at, l.observed_at + interval '1 microsecond'),
	        confirmed_at = greatest(c.observed_at, l.observed_at + interval '1 microsecond'),
	        batch_status = c.batch_status, batch_devices_count = c.batch_devices_count, stale_at = NULL
	    FROM unnest(@of::text[]::uuid[], @resources::text[], @batch_ids::text[], @observed::timestamptz[], @statuses::text[], @devices_counts::integer[])
	         AS c (customer_id, resource, batch_id, observed_at, batch_status, batch_devices_count)
	    WHERE l.customer_id = c.customer_id AND l.resource = c.resource AND l.batch_id = c.batch_id
	      AND (c.customer_id IN (SELECT customer_id FROM given_back)) IS TRUE -- no join: it would go over all claims for each list
	    RETURNING CASE WHEN l.counted_run = @run::bigint THEN 0 ELSE l.rows END AS rows
	)
	SELECT customer_id::text, verdict, was_ok, failures, failures_before, failing_since, synced,
	       (SELECT coalesce(sum(rows), 0) FROM confirmed) AS unchanged
	FROM given_back`

// giveBack writes outcomes and confirmations under claims that still hold, and returns the verdicts by customer.
func giveBack(ctx context.Context, tx *transaction, run Run, results []Result) (map[string]*verdict, error) {
	n := len(results)
	epochs, failed := make([]int64, n), make([]bool, n)
	ofDevices, waits, devicesDone := make([]bool, n), make([]bool, n), make([]bool, n)
	for i, r := range results {
		epochs[i], failed[i] = r.Claim.Epoch, r.Failure != nil
		ofDevices[i], waits[i], devicesDone[i] = r.OfDevices, r.AwaitsDevices && r.Failure == nil, r.OfDevices || r.SkipsDevices
	}
	args := pgx.NamedArgs{
		"run": run.ID, "epochs": epochs, "failed": failed,
		"of_devices": ofDevices, "waits": waits, "devices_done": devicesDone,
		"ids":             texts(func(r *Result) *string { return &r.Claim.CustomerID }).array(results),
		"codes":           ofFailures(results, func(f *Failure) *string { return &f.Code }),
		"messages":        ofFailures(results, func(f *Failure) *string { return &f.Message }),
		"request_ids":     ofFailures(results, func(f *Failure) *string { return &f.RequestID }),
		"correlation_ids": ofFailures(results, func(f *Failure) *string { return &f.CorrelationID }),
	}
	confirmations(results, args)
	verdicts := make(map[string]*verdict, n)
	batch := &pgx.Batch{}
	batch.Queue(run.ofKind(recordSQL), args).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[verdict])
		for _, v := range all {
			verdicts[v.CustomerID] = v
		}
		return err
	})
	if err := tx.send(ctx, batch); err != nil {
		return nil, fmt.Errorf("giving claims back and confirming unchanged lists: %w", err)
	}
	return verdicts, nil
}

// ofFailures are the results' failures' texts.
func ofFailures(results []Result, get func(*Failure) *string) binaryArray {
	return texts(func(r *Result) *string {
		if r.Failure == nil {
			return nil
		}
		return notEmpty(get(r.Failure))
	}).array(results)
}

// confirmations adds those of the results to the arguments.
func confirmations(results []Result, args pgx.NamedArgs) {
	type confirmed struct {
		customerID string
		Confirmation
	}
	var all []confirmed
	for _, r := range results {
		for _, c := range r.Confirmed {
			all = append(all, confirmed{r.Claim.CustomerID, c})
		}
	}
	args["of"] = texts(func(c *confirmed) *string { return &c.customerID }).array(all)
	args["resources"] = texts(func(c *confirmed) *string { return &c.Resource }).array(all)
	args["batch_ids"] = texts(func(c *confirmed) *string { return &c.Batch.ID }).array(all)
	args["observed"] = instants(func(c *confirmed) *time.Time { return &c.ObservedAt }).array(all)
	args["statuses"] = texts(func(c *confirmed) *string { return c.Batch.Status }).array(all)
	args["devices_counts"] = numbers(func(c *confirmed) *int32 { return c.Batch.DevicesCount }).array(all)
}

// rescheduleDevices notes which device lists failed, and when the customer's next ones are due.
func rescheduleDevices(batch *pgx.Batch, r Result) {
	const stale = `
		INSERT INTO partnersync.list_state (customer_id, resource, batch_id, stale_at)
		SELECT @customer_id::uuid, 'devices', i.batch_id, clock_timestamp()
		FROM unnest(@batch_ids::text[]) AS i (batch_id)
		ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET stale_at = excluded.stale_at`
	if !r.OfDevices {
		return
	}
	if len(r.FailedBatches) > 0 {
		batch.Queue(stale, pgx.NamedArgs{"customer_id": r.Claim.CustomerID, "batch_ids": r.FailedBatches})
	}
	scheduleDevices(batch, r.Claim, new(bool))
}
