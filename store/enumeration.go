package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// enumerating is the transaction of SettleCustomers.
type enumerating struct {
	tx       *transaction
	partner  string
	run      Run
	observed time.Time
	held     bool      // there are customers that an earlier enumeration lacked
	disputed bool      // there are customers of two partners
	last     pgx.Batch // what is written at the end, in one round trip
}

// enter gives the claim back if it still holds, makes the observed time later than the one before, and compares the
// enumeration with what is known. It returns the customers that an earlier run held back, too.
func (t *enumerating) enter(ctx context.Context, epoch int64, e Enumeration) (d distance, heldBefore []string, err error) {
	const fence = `
		UPDATE partnersync.partner_state
		SET owner = NULL, observed_at = greatest(@observed::timestamptz, observed_at + interval '1 microsecond')
		WHERE partner = @partner AND lease_epoch = @epoch AND owner IS NOT NULL
		RETURNING observed_at, CASE WHEN held_run < @run THEN held_customers END, held_customers IS NOT NULL,
		          EXISTS (SELECT 1 FROM partnersync.contested_customers c WHERE c.partner = @partner)`
	args := pgx.NamedArgs{"partner": t.partner, "epoch": epoch, "observed": t.observed, "run": t.run.ID}
	batch := &pgx.Batch{}
	batch.Queue(fence, args).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&t.observed, &heldBefore, &t.held, &t.disputed)
		if errors.Is(err, pgx.ErrNoRows) {
			err = ErrClaimLost
		}
		return err
	})
	t.compare(batch, e, &d)
	return d, heldBefore, t.tx.send(ctx, batch)
}

// merge brings partner_center.customers and the customers' states in line with the enumeration.
func (t *enumerating) merge(ctx context.Context, e Enumeration, d distance, heldBefore []string) (done Enumerated, err error) {
	remove, hold := d.lacked(e, heldBefore)
	// In the order of their ids, so that partners with the same customers cannot deadlock.
	for some := range slices.Chunk(d.written(), customersAtOnce) {
		added, err := t.upsert(ctx, some)
		if err != nil {
			return done, err
		}
		done.Added += added
	}
	done.Contested = map[string]string{}
	for some := range slices.Chunk(d.strange, customersAtOnce) {
		mine, err := t.divide(ctx, some, done.Contested)
		if err != nil {
			return done, err
		}
		if err := t.adopt(ctx, mine); err != nil {
			return done, err
		}
	}
	t.noteContested(e, done.Contested)
	if e.Complete && (t.held || len(hold) > 0) {
		t.hold(hold)
	}
	t.remove(remove)
	done.Removed, done.Held = len(remove), len(hold)
	return done, nil
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
	args := customerArgs(customers)
	args["partner"], args["observed"] = t.partner, t.observed
	if err := t.tx.QueryRow(ctx, upsert, args).Scan(&added); err != nil {
		return 0, fmt.Errorf("upserting customers: %w", err)
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

// divide returns the ids of those customers that are the partner's now, and adds the others to contested, with the name of the
// partner that they belong to.
func (t *enumerating) divide(ctx context.Context, strange []Customer, contested map[string]string) (mine []string, err error) {
	const find = `
		SELECT customer_id::text, partner FROM partner_center.customers
		WHERE customer_id = ANY (@ids::uuid[]) AND partner <> @partner`
	mine = ids(strange)
	rows, _ := t.tx.Query(ctx, find, pgx.NamedArgs{"ids": mine, "partner": t.partner}) // ForEachRow returns its error
	var id, holder string
	if _, err := pgx.ForEachRow(rows, []any{&id, &holder}, func() error { contested[id] = holder; return nil }); err != nil {
		return nil, fmt.Errorf("looking for customers of other partners: %w", err)
	}
	return slices.DeleteFunc(mine, func(id string) bool { return contested[id] != "" }), nil
}

func ids(customers []Customer) []string {
	ids := make([]string, len(customers))
	for i, c := range customers {
		ids[i] = c.ID
	}
	return ids
}

// noteContested keeps book of the customers of two partners for sync_freshness.
func (t *enumerating) noteContested(e Enumeration, contested map[string]string) {
	// What an incomplete enumeration lacks is not over.
	const forget = `
		DELETE FROM partnersync.contested_customers
		WHERE partner = @partner AND NOT customer_id = ANY (@ids::uuid[])
		  AND (@listed::uuid[] IS NULL OR customer_id = ANY (@listed::uuid[]))`
	const note = `
		INSERT INTO partnersync.contested_customers AS t
		    (customer_id, partner, company_name, last_attempt_at, failing_since, last_error)
		SELECT i.customer_id, @partner::text, i.company_name, @observed::timestamptz, @observed::timestamptz, i.error
		FROM unnest(@ids::uuid[], @names::text[], @errors::text[]) AS i (customer_id, company_name, error)
		ON CONFLICT (customer_id, partner) DO UPDATE
		SET company_name = excluded.company_name, last_attempt_at = excluded.last_attempt_at, last_error = excluded.last_error,
		    consecutive_failures = t.consecutive_failures + 1`
	ids, names, errs := []string{}, []*string{}, []string{}
	var listed []string
	for _, c := range e.Customers {
		if !e.Complete {
			listed = append(listed, c.ID)
		}
		if holder, ok := contested[c.ID]; ok {
			why := TwoPartnersError{CustomerID: c.ID, Partner: t.partner, Holder: holder, Gone: e.Partners != nil && !slices.Contains(e.Partners, holder)}
			ids, names, errs = append(ids, c.ID), append(names, c.CompanyName), append(errs, why.Error())
		}
	}
	if t.disputed && (e.Complete || listed != nil) {
		t.last.Queue(forget, pgx.NamedArgs{"partner": t.partner, "listed": listed, "ids": ids})
	}
	if len(ids) > 0 {
		t.last.Queue(note, pgx.NamedArgs{"partner": t.partner, "observed": t.observed, "ids": ids, "names": names, "errors": errs})
	}
}

// adopt gives each of the customers that are the partner's from now on a state. One that came from another partner starts
// afresh: whoever still holds it there is fenced off, and its lists lose their digests.
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
		ON CONFLICT (customer_id) DO UPDATE SET active = true`
	if err := execAll(ctx, t.tx, pgx.NamedArgs{"partner": t.partner, "mine": mine}, moved, adopt); err != nil {
		return fmt.Errorf("writing the customers' states: %w", err)
	}
	return nil
}

func set(keys []string) map[string]bool {
	s := make(map[string]bool, len(keys))
	for _, k := range keys {
		s[k] = true
	}
	return s
}

// hold keeps the customers that a complete enumeration lacked, for a later run's to confirm.
func (t *enumerating) hold(hold []string) {
	const keep = `
		UPDATE partnersync.partner_state
		SET held_customers = @held::text[], held_run = CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END
		WHERE partner = @partner`
	t.last.Queue(keep, pgx.NamedArgs{"partner": t.partner, "held": hold, "run": t.run.ID})
}

// remove marks customers as gone; their batches stay as they are.
func (t *enumerating) remove(ids []string) {
	const gone = `
		UPDATE partner_center.customers SET removed_at = @observed WHERE customer_id = ANY (@ids::uuid[])`
	const inactive = `
		UPDATE partnersync.customer_state SET active = false WHERE customer_id = ANY (@ids::uuid[])`
	if len(ids) > 0 {
		args := pgx.NamedArgs{"ids": ids, "observed": t.observed}
		t.last.Queue(gone, args)
		t.last.Queue(inactive, args)
	}
}

// settle opens the run's customers to claims, after all that the enumeration has left to be written, and claims the first.
func (t *enumerating) settle(ctx context.Context, s *Store, e Enumeration, done *Enumerated) error {
	settle := `
		UPDATE partnersync.runs r
		SET enumerated_at = clock_timestamp(), error = nullif(@error, ''),
		    customers_total = @contested::integer + (SELECT count(*) FROM partnersync.customer_state s WHERE ` + t.run.pending() + `)
		WHERE r.run_id = @run`
	failed := 0
	for id := range done.Contested {
		if t.run.Customers == nil || slices.Contains(t.run.Customers, id) {
			failed++
		}
	}
	args := t.run.args()
	args["error"], args["contested"] = e.Error, failed
	t.last.Queue(settle, args)
	Counts{CustomersFailed: failed, Requests: e.Requests, Retries: e.Retries}.queue(&t.last, t.run.ID, 0)
	queueRead(&t.last, t.run.ID, &done.Run)
	if e.Claim > 0 {
		due, args := t.run.next("")
		s.claim(&t.last, t.run, due, args, e.Claim, &done.Claims)
	}
	if err := t.tx.end(ctx, &t.last); err != nil {
		return fmt.Errorf("settling the run: %w", err)
	}
	done.Run = done.Run.asked(t.run)
	return nil
}
