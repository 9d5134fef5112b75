package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// enumerating is the transaction of SettleCustomers.
type enumerating struct {
	tx       pgx.Tx
	partner  string
	run      Run
	observed time.Time
}

// fence gives the claim back if it still holds, makes the observed time later than the one before, and returns the
// customers that an earlier run held back.
func (t *enumerating) fence(ctx context.Context, epoch int64) (heldBefore []string, err error) {
	const fence = `
		UPDATE partnersync.partner_state
		SET owner = NULL, observed_at = greatest(@observed::timestamptz, observed_at + interval '1 microsecond')
		WHERE partner = @partner AND lease_epoch = @epoch AND owner IS NOT NULL
		RETURNING observed_at, CASE WHEN held_run < @run THEN held_customers END`
	args := pgx.NamedArgs{"partner": t.partner, "epoch": epoch, "observed": t.observed, "run": t.run.ID}
	err = t.tx.QueryRow(ctx, fence, args).Scan(&t.observed, &heldBefore)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrClaimLost
	}
	return heldBefore, err
}

// merge brings partner_center.customers and the customers' states in line with the enumeration.
func (t *enumerating) merge(ctx context.Context, e Enumeration, heldBefore []string) (done Enumerated, err error) {
	listed := make([]string, len(e.Customers))
	for i, c := range e.Customers {
		listed[i] = c.ID
	}
	// Before new customers are written: the guard counts the known ones.
	remove, hold, err := t.lacked(ctx, e, listed, heldBefore)
	if err != nil {
		return done, err
	}
	if done.Added, err = t.upsert(ctx, e.Customers); err != nil {
		return done, err
	}
	if done.Contested, err = t.contested(ctx, e, listed); err != nil {
		return done, err
	}
	mine := slices.DeleteFunc(slices.Clone(listed), func(id string) bool { return done.Contested[id] != "" })
	if err := t.adopt(ctx, mine); err != nil {
		return done, err
	}
	if e.Complete {
		if err := t.hold(ctx, hold); err != nil {
			return done, err
		}
	}
	done.Removed, done.Held = len(remove), len(hold)
	return done, t.remove(ctx, remove)
}

// customersAtOnce is how many customers are written by a statement: all that it is given is in memory a few times.
const customersAtOnce = 2000

// upsert writes new customers, returned ones, those that another partner let go, and changed names; nothing for the rest.
func (t *enumerating) upsert(ctx context.Context, customers []Customer) (added int, err error) {
	const upsert = `
		WITH written AS (
		    INSERT INTO partner_center.customers AS c (customer_id, partner, company_name, domain, relationship, first_seen_at)
		    SELECT i.customer_id, @partner::text, i.company_name, i.domain, i.relationship, @observed::timestamptz
		    FROM unnest(@ids::uuid[], @names::text[], @domains::text[], @relationships::text[])
		         AS i (customer_id, company_name, domain, relationship)
		    WHERE NOT EXISTS (
		        SELECT 1 FROM partner_center.customers k
		        WHERE k.customer_id = i.customer_id AND k.removed_at IS NULL
		          AND (k.partner <> @partner::text
		               OR  coalesce(i.company_name, k.company_name) IS NOT DISTINCT FROM k.company_name
		               AND coalesce(i.domain, k.domain) IS NOT DISTINCT FROM k.domain
		               AND coalesce(i.relationship, k.relationship) IS NOT DISTINCT FROM k.relationship))
		    ORDER BY i.customer_id
		    ON CONFLICT (customer_id) DO UPDATE
		    SET partner = excluded.partner,
		        company_name = coalesce(excluded.company_name, c.company_name),
		        domain = coalesce(excluded.domain, c.domain),
		        relationship = coalesce(excluded.relationship, c.relationship),
		        removed_at = NULL
		    WHERE c.partner = excluded.partner OR c.removed_at IS NOT NULL
		    RETURNING first_seen_at
		)
		SELECT count(*) FILTER (WHERE first_seen_at = @observed::timestamptz) FROM written`
	// In the order of their ids, so that partners with the same customers cannot deadlock.
	ordered := slices.SortedFunc(slices.Values(customers), func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
	for some := range slices.Chunk(ordered, customersAtOnce) {
		args := customerArgs(some)
		args["partner"], args["observed"] = t.partner, t.observed
		var n int
		if err := t.tx.QueryRow(ctx, upsert, args).Scan(&n); err != nil {
			return 0, fmt.Errorf("upserting customers: %w", err)
		}
		added += n
	}
	return added, nil
}

// customerArgs are the customers as arrays.
func customerArgs(customers []Customer) pgx.NamedArgs {
	n := len(customers)
	ids, names, domains, relationships := make([]string, n), make([]*string, n), make([]*string, n), make([]*string, n)
	for i, c := range customers {
		ids[i], names[i], domains[i], relationships[i] = c.ID, c.CompanyName, c.Domain, c.Relationship
	}
	return pgx.NamedArgs{"ids": ids, "names": names, "domains": domains, "relationships": relationships}
}

// contested finds the listed customers that belong to another partner, and keeps book of them for sync_freshness.
func (t *enumerating) contested(ctx context.Context, e Enumeration, listed []string) (map[string]string, error) {
	const find = `
		SELECT customer_id::text, partner FROM partner_center.customers
		WHERE customer_id = ANY (@ids::uuid[]) AND partner <> @partner`
	// What an incomplete enumeration lacks is not over.
	const forget = `
		DELETE FROM partnersync.contested_customers
		WHERE partner = @partner AND NOT customer_id = ANY (@ids::uuid[])
		  AND (@complete OR customer_id = ANY (@listed::uuid[]))`
	const note = `
		INSERT INTO partnersync.contested_customers AS t
		    (customer_id, partner, company_name, last_attempt_at, failing_since, last_error)
		SELECT i.customer_id, @partner::text, i.company_name, @observed::timestamptz, @observed::timestamptz, i.error
		FROM unnest(@ids::uuid[], @names::text[], @errors::text[]) AS i (customer_id, company_name, error)
		ON CONFLICT (customer_id, partner) DO UPDATE
		SET company_name = excluded.company_name, last_attempt_at = excluded.last_attempt_at, last_error = excluded.last_error,
		    consecutive_failures = t.consecutive_failures + 1`
	rows, err := t.tx.Query(ctx, find, pgx.NamedArgs{"ids": listed, "partner": t.partner})
	if err != nil {
		return nil, fmt.Errorf("looking for customers of other partners: %w", err)
	}
	contested := map[string]string{}
	var id, holder string
	if _, err := pgx.ForEachRow(rows, []any{&id, &holder}, func() error { contested[id] = holder; return nil }); err != nil {
		return nil, fmt.Errorf("looking for customers of other partners: %w", err)
	}
	ids, names, errs := []string{}, []*string{}, []string{}
	for _, c := range e.Customers {
		if holder, ok := contested[c.ID]; ok {
			why := TwoPartnersError{CustomerID: c.ID, Partner: t.partner, Holder: holder, Gone: e.Partners != nil && !slices.Contains(e.Partners, holder)}
			ids, names, errs = append(ids, c.ID), append(names, c.CompanyName), append(errs, why.Error())
		}
	}
	args := pgx.NamedArgs{
		"partner": t.partner, "observed": t.observed, "complete": e.Complete, "listed": listed,
		"ids": ids, "names": names, "errors": errs,
	}
	if err := execAll(ctx, t.tx, args, forget, note); err != nil {
		return nil, fmt.Errorf("noting customers of two partners: %w", err)
	}
	return contested, nil
}

// adopt gives each of the partner's customers a state. One that came from another partner starts afresh: whoever still
// holds it there is fenced off, and its lists lose their digests.
func (t *enumerating) adopt(ctx context.Context, mine []string) error {
	const moved = `
		WITH moved AS (
		    UPDATE partnersync.customer_state
		    SET partner = @partner, owner = NULL, lease_epoch = lease_epoch + 1, consecutive_failures = 0, failing_since = NULL,
		        last_error_code = NULL, last_error = NULL, last_request_id = NULL, last_correlation_id = NULL, devices_refresh = NULL
		    WHERE customer_id = ANY (@mine::uuid[]) AND partner <> @partner
		    RETURNING customer_id
		)
		UPDATE partnersync.list_state l SET digest = NULL, held = NULL, held_run = NULL FROM moved WHERE l.customer_id = moved.customer_id`
	const adopt = `
		INSERT INTO partnersync.customer_state (customer_id, partner)
		SELECT i.customer_id, @partner::text
		FROM unnest(@mine::uuid[]) AS i (customer_id)
		WHERE NOT EXISTS (SELECT 1 FROM partnersync.customer_state s WHERE s.customer_id = i.customer_id AND s.active)
		ON CONFLICT (customer_id) DO UPDATE SET active = true`
	if err := execAll(ctx, t.tx, pgx.NamedArgs{"partner": t.partner, "mine": mine}, moved, adopt); err != nil {
		return fmt.Errorf("writing the customers' states: %w", err)
	}
	return nil
}

// lacked decides what becomes of the partner's known customers that were not listed.
func (t *enumerating) lacked(ctx context.Context, e Enumeration, listed, heldBefore []string) (remove, hold []string, err error) {
	const known = `
		SELECT customer_id::text FROM partner_center.customers WHERE partner = @partner AND removed_at IS NULL`
	if !e.Complete && len(e.Excluded) == 0 {
		return nil, nil, nil
	}
	rows, err := t.tx.Query(ctx, known, pgx.NamedArgs{"partner": t.partner})
	if err != nil {
		return nil, nil, fmt.Errorf("reading known customers: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, nil, fmt.Errorf("reading known customers: %w", err)
	}
	wanted, unwanted := set(listed), set(e.Excluded)
	var excluded, missing []string
	for _, id := range ids {
		switch {
		case unwanted[id]:
			excluded = append(excluded, id)
		case e.Complete && !wanted[id]:
			missing = append(missing, id)
		}
	}
	remove = missing
	if e.Guarded {
		remove, hold = guard(len(ids)-len(excluded), missing, heldBefore, false)
	}
	return append(remove, excluded...), hold, nil
}

func set(keys []string) map[string]bool {
	s := make(map[string]bool, len(keys))
	for _, k := range keys {
		s[k] = true
	}
	return s
}

// hold keeps the customers that a complete enumeration lacked, for a later run's to confirm.
func (t *enumerating) hold(ctx context.Context, hold []string) error {
	const keep = `
		UPDATE partnersync.partner_state
		SET held_customers = @held::text[], held_run = CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END
		WHERE partner = @partner`
	if _, err := t.tx.Exec(ctx, keep, pgx.NamedArgs{"partner": t.partner, "held": hold, "run": t.run.ID}); err != nil {
		return fmt.Errorf("holding removals back: %w", err)
	}
	return nil
}

// remove marks customers as gone; their batches stay as they are.
func (t *enumerating) remove(ctx context.Context, ids []string) error {
	const gone = `
		UPDATE partner_center.customers SET removed_at = @observed WHERE customer_id = ANY (@ids::uuid[])`
	const inactive = `
		UPDATE partnersync.customer_state SET active = false WHERE customer_id = ANY (@ids::uuid[])`
	if len(ids) == 0 {
		return nil
	}
	if err := execAll(ctx, t.tx, pgx.NamedArgs{"ids": ids, "observed": t.observed}, gone, inactive); err != nil {
		return fmt.Errorf("removing customers: %w", err)
	}
	return nil
}

// settle opens the run's customers to claims.
func (t *enumerating) settle(ctx context.Context, e Enumeration, done Enumerated) error {
	const settle = `
		UPDATE partnersync.runs r
		SET enumerated_at = clock_timestamp(), error = nullif(@error, ''),
		    customers_total = @contested::integer + (SELECT count(*) FROM partnersync.customer_state s WHERE ` + pending + `)
		WHERE r.run_id = @run`
	failed := 0
	for id := range done.Contested {
		if t.run.Customers == nil || slices.Contains(t.run.Customers, id) {
			failed++
		}
	}
	args := t.run.args()
	args["error"], args["contested"] = e.Error, failed
	if _, err := t.tx.Exec(ctx, settle, args); err != nil {
		return fmt.Errorf("settling the run: %w", err)
	}
	counts := Counts{CustomersFailed: failed, Requests: e.Requests, Retries: e.Retries}
	return counts.add(ctx, t.tx, t.run.ID, 0)
}
