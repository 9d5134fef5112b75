package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// recordFailures keeps the periods in which customers fail, for sync_failures: a failure begins one or goes on with it,
// and a success ends it, unless a later turn of the customer in that run fails. The transaction holds the customers'
// states, and has written how the attempts went.
func recordFailures(ctx context.Context, tx pgx.Tx, run Run, results []Result) error {
	const goOn = `
		UPDATE partnersync.sync_failures
		SET failing_until = NULL, recovered_run = NULL
		WHERE customer_id = ANY (@ids::uuid[]) AND partner = @partner AND recovered_run = @run`
	const fail = `
		INSERT INTO partnersync.sync_failures AS f (
		    customer_id, partner, failing_since, last_success_at, error_code, error, first_request_id, last_request_id)
		SELECT s.customer_id, s.partner, greatest(s.last_attempt_at, s.last_success_at), r.last_success_at,
		       s.last_error_code, s.last_error, s.last_request_id, s.last_request_id
		FROM unnest(@ids::uuid[], @last_success_at::timestamptz[]) AS r (customer_id, last_success_at)
		JOIN partnersync.customer_state s ON s.customer_id = r.customer_id
		ON CONFLICT (customer_id, partner) WHERE failing_until IS NULL DO UPDATE
		SET passes = f.passes + 1, error_code = excluded.error_code, error = excluded.error,
		    last_request_id = excluded.last_request_id`
	const end = `
		UPDATE partnersync.sync_failures f
		SET failing_until = greatest(s.last_attempt_at, s.last_success_at), recovered_run = @run
		FROM partnersync.customer_state s
		WHERE s.customer_id = ANY (@ids::uuid[])
		  AND f.customer_id = s.customer_id AND f.partner = s.partner AND f.failing_until IS NULL`
	var failed, recovered []string
	var lastSuccessAt []*time.Time
	for _, r := range results {
		switch {
		case r.failed():
			failed, lastSuccessAt = append(failed, r.Claim.CustomerID), append(lastSuccessAt, r.Claim.LastSuccessAt)
		case r.recovered() && r.Claim.Failures > 0:
			recovered = append(recovered, r.Claim.CustomerID)
		}
	}
	args := pgx.NamedArgs{"run": run.ID, "partner": run.Partner, "ids": failed, "last_success_at": lastSuccessAt}
	if len(failed) > 0 {
		if err := execAll(ctx, tx, args, goOn, fail); err != nil {
			return fmt.Errorf("recording that %s failed: %w", plural.Of(len(failed), "customer", "customers"), err)
		}
	}
	if len(recovered) > 0 {
		args["ids"] = recovered
		if err := execAll(ctx, tx, args, end); err != nil {
			return fmt.Errorf("recording that %s no longer fails: %w", plural.Of(len(recovered), "customer", "customers"), err)
		}
	}
	return nil
}
