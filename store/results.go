package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"partnersync/store/outbox"
	"partnersync/store/plural"
)

// Result is how a claimed customer's turn ended.
type Result struct {
	Claim Claim
	// Confirmed are the lists that came as they were known: nothing of them was merged.
	Confirmed []Confirmation
	// Requests and Retries are HTTP attempts, and those after the first.
	Requests, Retries int
	Failure           *Failure // nil: all lists were read and merged
	// FailedLists are the lists of policies and devices that could not be read.
	FailedLists []FailedList

	// Listed: the batch list, and that of policies if it was due, were read and merged: not where the tick came before.
	Listed bool
	// DevicesRead: the device lists that were due were gone through, but for those in DevicesLeft.
	DevicesRead bool
	// DevicesLeft: more device lists are due than were read in the turn, as it takes no more or the tick came.
	DevicesLeft bool
	// Deferred: the tick came before the turn began or its batch list came, so that the run does not count the
	// customer.
	Deferred bool
	// Reread: the batch list has to be read first in the next pass, which does not cut the turn off.
	Reread bool
}

// Failure is why a customer failed, as sync_freshness shows it.
type Failure = outbox.Failure

// FailedList is a list that could not be read.
type FailedList struct {
	Resource string // Devices or ConfigurationPolicies
	BatchID  string // of a device list
	Error    string // why, the code first; "": it does not count as failing
	// Refused: the API refuses this very list.
	Refused bool
}

// recounted reports whether the result changes how the run counts the customer: its first turn counts it, and a later
// one may fail it.
func (r Result) recounted() bool {
	return !r.Deferred && (r.Claim.Turn == FirstTurn || r.Failure != nil && !r.Claim.Failed)
}

// failed reports whether the run counts the customer as failed, which it did not before.
func (r Result) failed() bool { return r.recounted() && r.Failure != nil }

// recovered reports whether nothing of the customer fails any more. Device lists that fail are always due, so that one
// whose lists were all gone through has none but those that are refused lastingly. Lists that are not read do not fail.
func (r Result) recovered() bool {
	listsFail := r.Claim.Run.Devices != nil && r.Claim.ListsFailing > 0 && (!r.DevicesRead || r.DevicesLeft)
	listed := r.Listed || r.Claim.Turn != FirstTurn
	return !r.Deferred && r.Failure == nil && !r.Claim.Failed && listed && !listsFail
}

// count adds the customer to the counts.
func (r Result) count(c *Counts) {
	c.Requests += r.Requests
	c.Retries += r.Retries
	switch {
	case !r.recounted():
	case r.Failure == nil:
		c.CustomersOK++
	default:
		c.CustomersFailed++
		if r.Claim.Turn != FirstTurn {
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
//   - keep the periods in which customers fail;
//   - put events into the outbox;
//   - note which lists failed and when device lists are due again, and count. A run that has ended meanwhile, at its
//     tick, has deferred the customers that were not counted by then.
//
// It returns how many of the claims had been lost: nothing is written for those.
func (s *Store) RecordResults(ctx context.Context, run Run, results []Result) (lost int, err error) {
	// So that FinishRun counts when this is done.
	const open = `
		SELECT state = 'running' FROM partnersync.runs WHERE run_id = @run FOR SHARE`
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
		counts, batch := Counts{}, &pgx.Batch{}
		queueOutcomes(batch, run, held)
		queueConfirmations(batch, run.ID, held, &counts.Unchanged)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("recording outcomes and confirming unchanged lists: %w", err)
		}
		if err := recordFailures(ctx, tx, run, held); err != nil {
			return err
		}
		if enqueued, err = s.enqueueEvents(ctx, tx, run, held); err != nil {
			return err
		}
		for _, r := range held {
			r.count(&counts)
			if err := noteLists(ctx, tx, r); err != nil {
				return err
			}
		}
		if run.Kind == Scheduled {
			var running bool
			if err := tx.QueryRow(ctx, open, pgx.NamedArgs{"run": run.ID}).Scan(&running); err != nil {
				return fmt.Errorf("looking whether run %d goes on: %w", run.ID, err)
			}
			if !running {
				counts.CustomersOK, counts.CustomersFailed = 0, 0
			}
		}
		batch = &pgx.Batch{}
		queueCounts(batch, run.ID, 0, counts)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("recording the results of %s of partner %s: %w",
			plural.Of(len(results), "customer", "customers"), run.Partner, err)
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
	// A success is an attempt too: sync_freshness shows the later of both times. A turn that was cut off is none.
	const record = `
		WITH locked AS (
		    SELECT customer_id
		    FROM partnersync.customer_state
		    WHERE customer_id = ANY (@ids::uuid[]) AND owner = @worker::uuid
		    ORDER BY customer_id
		    FOR UPDATE
		)
		UPDATE partnersync.customer_state s
		SET owner                = NULL,
		    last_attempt_at      = CASE WHEN r.succeeded OR r.deferred THEN s.last_attempt_at ELSE r.now END,
		    last_success_at      = CASE WHEN r.succeeded THEN r.now ELSE s.last_success_at END,
		    reread               = r.reread,
		    consecutive_failures = CASE WHEN r.failed THEN s.consecutive_failures + 1
		                                WHEN r.recovered THEN 0 ELSE s.consecutive_failures END,
		    failing_since        = CASE WHEN r.failed THEN coalesce(s.failing_since, r.now)
		                                WHEN NOT r.recovered THEN s.failing_since END,
		    last_error_code      = CASE WHEN r.failed OR r.recovered THEN r.code ELSE s.last_error_code END,
		    last_error           = CASE WHEN r.failed OR r.recovered THEN r.message ELSE s.last_error END,
		    last_request_id      = CASE WHEN r.failed OR r.recovered THEN r.request_id ELSE s.last_request_id END,
		    last_correlation_id  = CASE WHEN r.failed OR r.recovered THEN r.correlation_id ELSE s.last_correlation_id END
		FROM locked
		JOIN (
		    SELECT unnest(@ids::uuid[]) AS customer_id, unnest(@epochs::bigint[]) AS epoch,
		           unnest(@succeeded::boolean[]) AS succeeded, unnest(@failed::boolean[]) AS failed,
		           unnest(@recovered::boolean[]) AS recovered, unnest(@deferred::boolean[]) AS deferred,
		           unnest(@reread::boolean[]) AS reread,
		           nullif(unnest(@codes::text[]), '') AS code, nullif(unnest(@messages::text[]), '') AS message,
		           nullif(unnest(@request_ids::text[]), '') AS request_id,
		           nullif(unnest(@correlation_ids::text[]), '') AS correlation_id,
		           clock_timestamp() AS now
		) r ON r.customer_id = locked.customer_id
		WHERE s.customer_id = locked.customer_id AND s.owner = @worker::uuid AND s.lease_epoch = r.epoch
		RETURNING s.customer_id::text, s.lease_epoch`
	byClaim := make(map[claimKey]Result, len(results))
	for _, r := range results {
		byClaim[claimKey{r.Claim.CustomerID, r.Claim.Epoch}] = r
	}
	args := attempts(results)
	args["worker"] = s.worker
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

// attempts are the results as arrays.
func attempts(results []Result) pgx.NamedArgs {
	n := len(results)
	ids, epochs := make([]string, n), make([]int64, n)
	succeeded, failed, recovered := make([]bool, n), make([]bool, n), make([]bool, n)
	deferred, reread := make([]bool, n), make([]bool, n)
	codes, messages := make([]string, n), make([]string, n)
	requestIDs, correlationIDs := make([]string, n), make([]string, n)
	for i, r := range results {
		ids[i], epochs[i] = r.Claim.CustomerID, r.Claim.Epoch
		succeeded[i], deferred[i] = r.Listed && r.Claim.Turn == FirstTurn, r.Deferred
		reread[i] = r.Reread || r.Claim.Reread && r.Claim.Turn != FirstTurn // a later turn does not list the batches again
		failed[i], recovered[i] = r.failed(), r.recovered()
		if f := r.Failure; f != nil {
			codes[i], messages[i] = f.Code, f.Message
			requestIDs[i], correlationIDs[i] = f.RequestID, f.CorrelationID
		}
	}
	return pgx.NamedArgs{
		"ids": ids, "epochs": epochs, "succeeded": succeeded, "failed": failed,
		"recovered": recovered, "deferred": deferred, "reread": reread,
		"codes": codes, "messages": messages, "request_ids": requestIDs, "correlation_ids": correlationIDs,
	}
}

// queueOutcomes has a batch write how the run counts the customers.
func queueOutcomes(batch *pgx.Batch, run Run, results []Result) {
	const record = `
		INSERT INTO partnersync.customer_runs (customer_id, kind, run_id, outcome, devices_left)
		SELECT r.customer_id, @kind, @run, CASE WHEN r.failed THEN 'failed' ELSE 'ok' END, r.devices_left
		FROM unnest(@ids::uuid[], @failed::boolean[], @devices_left::boolean[]) AS r (customer_id, failed, devices_left)
		ON CONFLICT (customer_id, kind) DO UPDATE
		SET run_id = excluded.run_id, outcome = excluded.outcome, devices_left = excluded.devices_left`
	var ids []string
	var failed, devicesLeft []bool
	for _, r := range results {
		if !r.Deferred {
			ids, failed = append(ids, r.Claim.CustomerID), append(failed, r.Claim.Failed || r.Failure != nil)
			devicesLeft = append(devicesLeft, r.DevicesLeft)
		}
	}
	batch.Queue(record, pgx.NamedArgs{
		"run": run.ID, "kind": run.Kind, "ids": ids, "failed": failed, "devices_left": devicesLeft,
	})
}

// enqueueEvents puts customers that have failed often enough, and those of them that have recovered, into the outbox,
// and reports whether there were any.
func (s *Store) enqueueEvents(ctx context.Context, tx pgx.Tx, run Run, results []Result) (enqueued bool, err error) {
	var failed []outbox.FailedCustomer
	var recovered []string
	for _, r := range results {
		switch {
		case r.failed():
			failed = append(failed, outbox.FailedCustomer{
				CustomerID: r.Claim.CustomerID, Failure: *r.Failure,
				Failures: r.Claim.Failures + 1, Synced: r.Claim.LastSuccessAt != nil,
			})
		case r.recovered() && r.Claim.Failures > 0:
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
