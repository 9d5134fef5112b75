package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// recordFailures keeps the periods in which customers fail, for sync_failures: a failure begins one or goes on with it,
// and a success ends it, unless a later turn of the customer in that run fails. The transaction holds the customers'
// states, and has written how the attempts went.
func recordFailures(ctx context.Context, tx pgx.Tx, run Run, results []Result) error {
	const goOn = `
		WITH going_on AS (
		    UPDATE partnersync.sync_failures
		    SET failing_until = NULL, recovered_run = NULL
		    WHERE customer_id = ANY (@ids::uuid[]) AND partner = @partner AND recovered_run = @run
		    RETURNING customer_id, failing_since
		)
		UPDATE partnersync.customer_state s
		SET failing_since = f.failing_since
		FROM going_on f
		WHERE s.customer_id = f.customer_id`
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
		if err := tx.SendBatch(ctx, batchOf(args, goOn, fail)).Close(); err != nil {
			return fmt.Errorf("recording that %s failed: %w", plural.Of(len(failed), "customer", "customers"), err)
		}
	}
	if len(recovered) > 0 {
		args["ids"] = recovered
		if _, err := tx.Exec(ctx, end, args); err != nil {
			return fmt.Errorf("recording that %s no longer fails: %w", plural.Of(len(recovered), "customer", "customers"), err)
		}
	}
	return nil
}

// TwoPartnersError is why a customer that a partner lists fails there: it belongs to another one.
type TwoPartnersError struct {
	CustomerID, Partner, Holder string
	// Gone: the configuration has no such partner as Holder, so that none of its passes will let the customer go.
	Gone bool
}

// Error names the customer and both partners, and says what to do.
func (e *TwoPartnersError) Error() string {
	said := fmt.Sprintf("customer %s is listed by partner %s but belongs to partner %s", e.CustomerID, e.Partner, e.Holder)
	if e.Gone {
		return fmt.Sprintf("%s, which is not in the configuration, perhaps since it was renamed or dropped there: "+
			"nothing of it is read for %s; give %[3]s its name back, or put it back for one pass with the customer under "+
			"exclude_customers, which lets it go", said, e.Partner, e.Holder)
	}
	return fmt.Sprintf("%s: nothing of it is read for %s; exclude it (exclude_customers) under one of the two", said, e.Partner)
}

// recordContested writes down the customers of two partners, for sync_freshness and sync_failures.
func (t *enumerating) recordContested(ctx context.Context, contested map[string]string) error {
	// What an incomplete enumeration lacks is not over.
	const forget = `
		WITH forgotten AS (
		    DELETE FROM partnersync.contested_customers
		    WHERE partner = @partner AND customer_id <> ALL (@ids::uuid[])
		      AND (@complete OR customer_id = ANY (@listed::uuid[]))
		    RETURNING customer_id
		)
		UPDATE partnersync.sync_failures f
		SET failing_until = @observed::timestamptz
		FROM forgotten
		WHERE f.customer_id = forgotten.customer_id AND f.partner = @partner AND f.failing_until IS NULL`
	const record = `
		WITH contested AS (
		    INSERT INTO partnersync.contested_customers AS t
		        (customer_id, partner, company_name, last_attempt_at, failing_since, last_error)
		    SELECT i.customer_id, @partner::text, i.company_name, @observed::timestamptz, @observed::timestamptz, i.error
		    FROM unnest(@ids::uuid[], @names::text[], @errors::text[]) AS i (customer_id, company_name, error)
		    ON CONFLICT (customer_id, partner) DO UPDATE
		    SET company_name = excluded.company_name, last_attempt_at = excluded.last_attempt_at,
		        last_error = excluded.last_error, consecutive_failures = t.consecutive_failures + 1
		    RETURNING customer_id, partner, failing_since, last_error
		)
		INSERT INTO partnersync.sync_failures AS f (customer_id, partner, failing_since, error_code, error)
		SELECT customer_id, partner, failing_since, 'customer_of_two_partners', last_error
		FROM contested
		ON CONFLICT (customer_id, partner) WHERE failing_until IS NULL DO UPDATE
		SET passes = f.passes + 1, error = excluded.error`
	e, ids, names, errs := t.enumeration, []string{}, []*string{}, []string{}
	for _, c := range e.Customers {
		if holder, ok := contested[c.ID]; ok {
			why := TwoPartnersError{
				CustomerID: c.ID, Partner: t.run.Partner, Holder: holder,
				Gone: e.Partners != nil && !slices.Contains(e.Partners, holder),
			}
			ids, names, errs = append(ids, c.ID), append(names, c.CompanyName), append(errs, why.Error())
		}
	}
	args := pgx.NamedArgs{
		"partner": t.run.Partner, "observed": t.observedAt, "complete": e.Complete, "listed": nil,
		"ids": ids, "names": names, "errors": errs,
	}
	if !e.Complete {
		args["listed"] = idsOf(e.Customers)
	}
	if err := t.tx.SendBatch(ctx, batchOf(args, forget, record)).Close(); err != nil {
		return fmt.Errorf("recording %s of two partners: %w", plural.Of(len(ids), "customer", "customers"), err)
	}
	return nil
}
