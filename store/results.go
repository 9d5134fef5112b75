package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"partnersync/store/outbox"
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
	// AwaitsDevices: the customer has device lists to be read, and its outcome waits for them, unless it has failed
	// already.
	AwaitsDevices bool
	// SkipsDevices: the run does without the customer's device lists.
	SkipsDevices bool
}

// Failure is why a customer failed, as sync_freshness shows it.
type Failure = outbox.Failure

// How a run counts a customer, as in partnersync.customer_runs.
const (
	outcomeOK      = "ok"
	outcomeFailed  = "failed"
	outcomeWaiting = "waiting" // for its device lists to be read
)

// outcome is how the run counts the customer from now on. A customer that failed by its other lists stays failed,
// whatever its device lists do.
func (r Result) outcome() string {
	before := r.Claim.outcome
	switch {
	case r.OfDevices && before == outcomeFailed:
		return before
	case r.Failure != nil:
		return outcomeFailed
	case !r.OfDevices && r.AwaitsDevices:
		return outcomeWaiting
	}
	return outcomeOK
}

// settled reports whether the result changes how the run counts the customer. It does not if that waits for the device
// lists, or if these bring nothing new.
func (r Result) settled() bool {
	outcome := r.outcome()
	return outcome != outcomeWaiting && !(r.OfDevices && outcome == r.Claim.outcome)
}

// count adds the customer to the counts.
func (r Result) count(c *Counts) {
	c.Requests += r.Requests
	c.Retries += r.Retries
	if !r.settled() {
		return
	}
	switch r.outcome() {
	case outcomeOK:
		c.CustomersOK++
	case outcomeFailed:
		c.CustomersFailed++
		if r.OfDevices && r.Claim.outcome == outcomeOK {
			c.CustomersOK-- // the run has counted it before
		}
	}
}

// RecordResults writes the results of claimed customers, releases their claims, and adds to the run's counts, in one
// fenced transaction:
//
//   - check the claims, and write how the attempts went; what follows is for the claims that still hold;
//   - write how the run counts the customers;
//   - confirm unchanged lists;
//   - put events into the outbox;
//   - note when device lists are due again, and count.
//
// It returns how many of the claims had been lost: nothing is written for those.
func (s *Store) RecordResults(ctx context.Context, run Run, results []Result) (lost int, err error) {
	if len(results) == 0 {
		return 0, nil
	}
	enqueued := false
	err = s.write(ctx, func(tx pgx.Tx) error {
		held, err := s.recordAttempts(ctx, tx, results)
		if err != nil {
			return err
		}
		if lost = len(results) - len(held); len(held) == 0 {
			return nil
		}
		if err := recordOutcomes(ctx, tx, run, held); err != nil {
			return err
		}
		counts := Counts{}
		if counts.Unchanged, err = confirmLists(ctx, tx, run.ID, held); err != nil {
			return err
		}
		if enqueued, err = s.enqueueEvents(ctx, tx, run, held); err != nil {
			return err
		}
		for _, r := range held {
			if r.count(&counts); !r.OfDevices {
				continue
			}
			if err := rescheduleDevices(ctx, tx, r); err != nil {
				return err
			}
		}
		return addCounts(ctx, tx, run.ID, 0, counts)
	})
	if err != nil {
		return 0, fmt.Errorf("recording the results of %d customers of partner %s: %w", len(results), run.Partner, err)
	}
	if enqueued {
		s.outbox.Wake()
	}
	if lost < len(results) {
		s.NoteProgress(run)
	}
	return lost, nil
}

// recordAttempts releases the claims that still hold, writes how the attempts on these customers went, and returns
// their results.
func (s *Store) recordAttempts(ctx context.Context, tx pgx.Tx, results []Result) (held []Result, err error) {
	// A success is an attempt too: sync_freshness shows the later of both times.
	const record = `
		UPDATE partnersync.customer_state s
		SET owner                = NULL,
		    last_attempt_at      = CASE WHEN r.succeeded THEN s.last_attempt_at ELSE r.now END,
		    last_success_at      = CASE WHEN r.succeeded THEN r.now ELSE s.last_success_at END,
		    consecutive_failures = CASE WHEN r.failed THEN s.consecutive_failures + 1
		                                WHEN r.succeeded THEN 0 ELSE s.consecutive_failures END,
		    failing_since        = CASE WHEN r.failed THEN coalesce(s.failing_since, r.now)
		                                WHEN NOT r.succeeded THEN s.failing_since END,
		    last_error_code      = CASE WHEN r.failed OR r.succeeded THEN r.code ELSE s.last_error_code END,
		    last_error           = CASE WHEN r.failed OR r.succeeded THEN r.message ELSE s.last_error END,
		    last_request_id      = CASE WHEN r.failed OR r.succeeded THEN r.request_id ELSE s.last_request_id END,
		    last_correlation_id  = CASE WHEN r.failed OR r.succeeded THEN r.correlation_id ELSE s.last_correlation_id END
		FROM (
		    SELECT unnest(@ids::uuid[]) AS customer_id, unnest(@epochs::bigint[]) AS epoch,
		           unnest(@succeeded::boolean[]) AS succeeded, unnest(@failed::boolean[]) AS failed,
		           unnest(@codes::text[]) AS code, unnest(@messages::text[]) AS message,
		           unnest(@request_ids::text[]) AS request_id, unnest(@correlation_ids::text[]) AS correlation_id,
		           clock_timestamp() AS now
		) r
		WHERE s.customer_id = r.customer_id AND s.owner = @worker::uuid AND s.lease_epoch = r.epoch
		RETURNING s.customer_id::text, s.lease_epoch`
	n := len(results)
	ids, epochs, succeeded, failed := make([]string, n), make([]int64, n), make([]bool, n), make([]bool, n)
	codes, messages, requestIDs, correlationIDs := make([]*string, n), make([]*string, n), make([]*string, n), make([]*string, n)
	byClaim := make(map[claimKey]Result, n)
	for i, r := range results {
		ids[i], epochs[i] = r.Claim.CustomerID, r.Claim.Epoch
		succeeded[i], failed[i] = r.settled() && r.Failure == nil, r.settled() && r.Failure != nil
		if f := r.Failure; f != nil {
			codes[i], messages[i] = notEmpty(f.Code), notEmpty(f.Message)
			requestIDs[i], correlationIDs[i] = notEmpty(f.RequestID), notEmpty(f.CorrelationID)
		}
		byClaim[claimKey{ids[i], epochs[i]}] = r
	}
	args := pgx.NamedArgs{
		"worker": s.worker, "ids": ids, "epochs": epochs, "succeeded": succeeded, "failed": failed,
		"codes": codes, "messages": messages, "request_ids": requestIDs, "correlation_ids": correlationIDs,
	}
	rows, _ := tx.Query(ctx, record, args) // ForEachRow returns its error
	var key claimKey
	_, err = pgx.ForEachRow(rows, []any{&key.customerID, &key.epoch}, func() error {
		held = append(held, byClaim[key])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("releasing claims and recording how the attempts went: %w", err)
	}
	return held, nil
}

type claimKey struct {
	customerID string
	epoch      int64
}

// recordOutcomes writes how the run counts the customers.
func recordOutcomes(ctx context.Context, tx pgx.Tx, run Run, results []Result) error {
	const record = `
		INSERT INTO partnersync.customer_runs AS c (customer_id, kind, run_id, devices_run_id, outcome)
		SELECT r.customer_id, @kind, @run, CASE WHEN r.devices_done THEN @run::bigint ELSE 0 END, r.outcome
		FROM unnest(@ids::uuid[], @devices_done::boolean[], @outcomes::text[]) AS r (customer_id, devices_done, outcome)
		ON CONFLICT (customer_id, kind) DO UPDATE SET
		    run_id         = excluded.run_id,
		    devices_run_id = CASE WHEN excluded.devices_run_id = 0 THEN c.devices_run_id ELSE excluded.devices_run_id END,
		    outcome        = excluded.outcome`
	ids, devicesDone, outcomes := make([]string, len(results)), make([]bool, len(results)), make([]string, len(results))
	for i, r := range results {
		ids[i], devicesDone[i], outcomes[i] = r.Claim.CustomerID, r.OfDevices || r.SkipsDevices, r.outcome()
	}
	args := pgx.NamedArgs{
		"run": run.ID, "kind": run.Kind, "ids": ids, "devices_done": devicesDone, "outcomes": outcomes,
	}
	if _, err := tx.Exec(ctx, record, args); err != nil {
		return fmt.Errorf("recording the outcomes of %d customers: %w", len(results), err)
	}
	return nil
}

// enqueueEvents puts customers that have failed often enough, and those of them that have recovered, into the outbox,
// and reports whether there were any.
func (s *Store) enqueueEvents(ctx context.Context, tx pgx.Tx, run Run, results []Result) (enqueued bool, err error) {
	var failed []outbox.FailedCustomer
	var recovered []string
	for _, r := range results {
		switch {
		case !r.settled():
		case r.Failure != nil:
			failed = append(failed, outbox.FailedCustomer{
				CustomerID: r.Claim.CustomerID, Failure: *r.Failure,
				Failures: r.Claim.failures + 1, Synced: r.Claim.synced,
			})
		case r.Claim.failures > 0:
			recovered = append(recovered, r.Claim.CustomerID)
		}
	}
	failing, err := s.outbox.EnqueueFailing(ctx, tx, run.Partner, failed)
	if err != nil {
		return false, err
	}
	enqueued, err = s.outbox.EnqueueRecovered(ctx, tx, run.Partner, recovered)
	return enqueued || failing, err
}

// notEmpty returns nil for the empty string, which stands for no value.
func notEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
