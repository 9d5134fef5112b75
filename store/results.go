package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Result is how the work on one claimed customer ended.
type Result struct {
	Claim Claim
	// Confirmed are the lists that came as they were known: nothing of them was merged.
	Confirmed []Confirmation
	// Requests and Retries are HTTP attempts, and those after the first.
	Requests, Retries int
	Failure           *Failure // nil: all lists were read and merged
}

// Confirmation is a complete listing equal to the one that the list's digest stands for.
type Confirmation struct {
	Resource   string // such as DeviceBatches
	BatchID    string // the batch whose devices are listed, else empty
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
	if len(results) == 0 {
		return 0, nil
	}
	err = s.write(ctx, func(tx pgx.Tx) error {
		held, err := giveBack(ctx, tx, run, results)
		if err != nil {
			return err
		}
		lost = len(results) - len(held)
		counts := Counts{}
		for _, r := range results {
			if !held[r.Claim.CustomerID] {
				continue
			}
			counts.Requests += r.Requests
			counts.Retries += r.Retries
			if r.Failure != nil {
				counts.CustomersFailed++
			} else {
				counts.CustomersOK++
			}
		}
		if counts.Unchanged, err = confirm(ctx, tx, results, held); err != nil {
			return err
		}
		return counts.add(ctx, tx, run.ID, 0)
	})
	if err != nil {
		return 0, fmt.Errorf("recording the results of %d customers of partner %s: %w", len(results), run.Partner, err)
	}
	return lost, nil
}

// giveBack writes outcomes under claims that still hold, and returns the ids of their customers.
func giveBack(ctx context.Context, tx pgx.Tx, run Run, results []Result) (map[string]bool, error) {
	const record = `
		UPDATE partnersync.customer_state s
		SET owner = NULL,
		    scheduled_run = CASE WHEN @kind::text = 'scheduled' THEN @run::bigint ELSE s.scheduled_run END,
		    once_run      = CASE WHEN @kind::text = 'once'      THEN @run::bigint ELSE s.once_run END,
		    backfill_run  = CASE WHEN @kind::text = 'backfill'  THEN @run::bigint ELSE s.backfill_run END,
		    last_attempt_at      = clock_timestamp(),
		    last_success_at      = CASE WHEN r.failed THEN s.last_success_at ELSE clock_timestamp() END,
		    consecutive_failures = CASE WHEN r.failed THEN s.consecutive_failures + 1 ELSE 0 END,
		    failing_since        = CASE WHEN r.failed THEN coalesce(s.failing_since, clock_timestamp()) END,
		    last_error_code      = r.code,
		    last_error           = r.message,
		    last_request_id      = r.request_id,
		    last_correlation_id  = r.correlation_id
		FROM unnest(@ids::uuid[], @epochs::bigint[], @failed::boolean[], @codes::text[], @messages::text[],
		            @request_ids::text[], @correlation_ids::text[])
		     AS r (customer_id, epoch, failed, code, message, request_id, correlation_id)
		WHERE s.customer_id = r.customer_id AND s.lease_epoch = r.epoch AND s.owner IS NOT NULL
		RETURNING s.customer_id::text`
	n := len(results)
	ids, epochs, failed := make([]string, n), make([]int64, n), make([]bool, n)
	codes, messages, requestIDs, correlationIDs := make([]*string, n), make([]*string, n), make([]*string, n), make([]*string, n)
	for i, r := range results {
		ids[i], epochs[i] = r.Claim.CustomerID, r.Claim.Epoch
		if f := r.Failure; f != nil {
			failed[i] = true
			codes[i], messages[i], requestIDs[i], correlationIDs[i] = present(f.Code), present(f.Message), present(f.RequestID), present(f.CorrelationID)
		}
	}
	rows, err := tx.Query(ctx, record, pgx.NamedArgs{
		"run": run.ID, "kind": run.Kind, "ids": ids, "epochs": epochs, "failed": failed,
		"codes": codes, "messages": messages, "request_ids": requestIDs, "correlation_ids": correlationIDs,
	})
	if err != nil {
		return nil, fmt.Errorf("giving claims back: %w", err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("giving claims back: %w", err)
	}
	return set(held), nil
}

// present returns nil for the empty string, which stands for no value.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// confirm moves the confirmation of unchanged lists on, and returns how many rows they have.
func confirm(ctx context.Context, tx pgx.Tx, results []Result, held map[string]bool) (rows int, err error) {
	const confirm = `
		WITH confirmed AS (
		    UPDATE partnersync.list_state l
		    SET observed_at  = greatest(c.observed_at, l.observed_at + interval '1 microsecond'),
		        confirmed_at = greatest(c.observed_at, l.observed_at + interval '1 microsecond')
		    FROM unnest(@ids::uuid[], @resources::text[], @batch_ids::text[], @observed::timestamptz[])
		         AS c (customer_id, resource, batch_id, observed_at)
		    WHERE l.customer_id = c.customer_id AND l.resource = c.resource AND l.batch_id = c.batch_id
		    RETURNING l.rows
		)
		SELECT coalesce(sum(rows), 0) FROM confirmed`
	var ids, resources, batchIDs []string
	var observed []time.Time
	for _, r := range results {
		if !held[r.Claim.CustomerID] {
			continue
		}
		for _, c := range r.Confirmed {
			ids, resources = append(ids, r.Claim.CustomerID), append(resources, c.Resource)
			batchIDs, observed = append(batchIDs, c.BatchID), append(observed, c.ObservedAt)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	args := pgx.NamedArgs{"ids": ids, "resources": resources, "batch_ids": batchIDs, "observed": observed}
	if err := tx.QueryRow(ctx, confirm, args).Scan(&rows); err != nil {
		return 0, fmt.Errorf("confirming unchanged lists: %w", err)
	}
	return rows, nil
}
