package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"partnersync/store/plural"
)

// Enumeration is what was learned of a partner's customers.
type Enumeration struct {
	Customers  []Customer // RecordEnumeration sorts them
	ObservedAt time.Time
	// Complete: customers that are not listed are removed.
	Complete bool
	// Guarded: too many removals at once are held until a later run's enumeration confirms them. A list from the
	// configuration is believed at once.
	Guarded bool
	// Pages and AbsentBefore are as in a Listing.
	Pages        int
	AbsentBefore []string
	// Excluded customers are removed, however many, if they are known.
	Excluded []string
	// Partners are all that the configuration has, so that a failure can tell of one that it has no more; nil: not
	// known.
	Partners []string
	// Requests and Retries are HTTP attempts, and those after the first.
	Requests, Retries int
	// Error is why the enumeration failed, if it did.
	Error string
}

// Enumerated says what an enumeration changed.
type Enumerated struct {
	Run                  Run // with its state and counts as they are now
	Added, Removed, Held int
	// Contested are the customers that belong to another partner, by id, with that partner's name.
	Contested map[string]string
}

// NoCustomers is the error of a run whose complete enumeration has nobody.
const NoCustomers = "no_customers: the partner has no customers to read: check customers and exclude_customers, " +
	"and that the API lists customers whose relationship is reseller"

// RecordEnumeration writes who a partner's customers are, and with it opens the run's customers to claims, in one
// transaction:
//
//   - check the claim, and release it;
//   - compare the listed customers with the known ones, and apply the mass removal guard;
//   - write new and returned customers and changed names, and find out which of the listed ones are another partner's;
//   - give new customers a state, mark those that left, and keep what is held back;
//   - count the run's customers.
//
// A customer that belongs to another partner is left alone and counted as failed. The error wraps ErrClaimLost if the
// claim was lost, and an UnconfirmedError if the customers are to be listed again: then the claim still holds.
func (s *Store) RecordEnumeration(ctx context.Context, c EnumerationClaim, e Enumeration) (done Enumerated, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		t := enumerating{tx: tx, run: c.Run, enumeration: e}
		if err := t.checkClaim(ctx, s.worker, c.Epoch); err != nil {
			return err
		}
		d, err := compareCustomers(ctx, tx, t.run.Partner, e, t.heldBefore)
		if err != nil {
			return err
		}
		if mustReread(e.Pages, e.AbsentBefore, d.unconfirmed) {
			return &UnconfirmedError{d.unconfirmed}
		}
		if err := lockStates(ctx, tx, slices.Concat(idsOf(d.written), d.removed)); err != nil {
			return err
		}
		done = Enumerated{Removed: len(d.removed), Held: len(d.held)}
		if done.Added, done.Contested, err = t.write(ctx, d.written, d.removed); err != nil {
			return err
		}
		own := slices.DeleteFunc(idsOf(d.unknown), func(id string) bool { return done.Contested[id] != "" })
		if err := t.takeCustomers(ctx, own); err != nil {
			return err
		}
		if err := t.recordContested(ctx, done.Contested); err != nil {
			return err
		}
		if err := t.remove(ctx, d.removed, slices.Concat(d.held, d.unconfirmed)); err != nil {
			return err
		}
		done.Run, err = t.countCustomers(ctx, done)
		return err
	})
	if err != nil {
		return Enumerated{}, fmt.Errorf("writing the customers of partner %s: %w", c.Run.Partner, err)
	}
	return done, nil
}

// enumerating is the transaction of RecordEnumeration.
type enumerating struct {
	tx          pgx.Tx
	run         Run
	enumeration Enumeration
	observedAt  time.Time // later than that of any earlier enumeration
	heldBefore  []string  // customers that an earlier run's enumeration lacked and that were kept
	isHolding   bool      // there are customers that an earlier enumeration lacked
	// confirmedAt is when the last complete enumeration before was observed that held nobody back, and confirmedPages
	// how many pages it had; nil: there was none.
	confirmedAt    *time.Time
	confirmedPages int
}

// checkClaim checks the claim, and releases it.
func (t *enumerating) checkClaim(ctx context.Context, worker string, epoch int64) error {
	const fence = `
		UPDATE partnersync.partner_state
		SET owner           = NULL,
		    observed_at     = greatest(@observed::timestamptz, observed_at + interval '1 microsecond'),
		    observed_pages  = CASE WHEN @complete THEN greatest(@pages::integer, 1) ELSE 0 END,
		    confirmed_at    = CASE WHEN observed_pages > 0 AND held_customers IS NULL THEN observed_at ELSE confirmed_at END,
		    confirmed_pages = CASE WHEN observed_pages > 0 AND held_customers IS NULL THEN observed_pages ELSE confirmed_pages END
		WHERE partner = @partner AND owner = @worker::uuid AND lease_epoch = @epoch
		RETURNING observed_at, CASE WHEN held_run < @run THEN held_customers END, held_customers IS NOT NULL,
		          confirmed_at, confirmed_pages`
	args := pgx.NamedArgs{
		"partner": t.run.Partner, "worker": worker, "epoch": epoch, "run": t.run.ID,
		"observed": t.enumeration.ObservedAt.UTC().Truncate(time.Microsecond),
		"complete": t.enumeration.Complete, "pages": t.enumeration.Pages,
	}
	err := t.tx.QueryRow(ctx, fence, args).Scan(&t.observedAt, &t.heldBefore, &t.isHolding, &t.confirmedAt, &t.confirmedPages)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrClaimLost
	}
	return err
}

// takeCustomers gives each of the partner's new customers a state. One that came from another partner was fenced off
// when it was removed there, and starts afresh: its lists lose their digests.
func (t *enumerating) takeCustomers(ctx context.Context, own []string) error {
	const move = `
		WITH moved AS (
		    UPDATE partnersync.customer_state
		    SET partner = @partner, devices_refresh = NULL
		    WHERE customer_id = ANY (@ids::uuid[]) AND partner <> @partner
		    RETURNING customer_id
		)
		UPDATE partnersync.list_state l
		SET digest = NULL, held = NULL, held_run = NULL
		FROM moved
		WHERE l.customer_id = moved.customer_id`
	// Other runs of the partner that go on have counted it as failed, while it was of two partners.
	const counted = `
		INSERT INTO partnersync.customer_runs (customer_id, kind, run_id, outcome, devices_left)
		SELECT DISTINCT ON (t.customer_id, r.kind) t.customer_id, r.kind, r.run_id, 'failed', false
		FROM partnersync.contested_customers t
		JOIN partnersync.runs r ON r.partner = t.partner AND r.state = 'running' AND r.enumerated_at >= t.failing_since
		WHERE t.partner = @partner AND t.customer_id = ANY (@ids::uuid[]) AND r.run_id <> @run
		  AND (r.customers IS NULL OR t.customer_id = ANY (r.customers))
		ORDER BY t.customer_id, r.kind, r.run_id DESC
		ON CONFLICT (customer_id, kind) DO UPDATE
		SET run_id = excluded.run_id, outcome = excluded.outcome, devices_left = excluded.devices_left`
	const activate = `
		INSERT INTO partnersync.customer_state (customer_id, partner)
		SELECT i.customer_id, @partner::text
		FROM unnest(@ids::uuid[]) AS i (customer_id)
		ON CONFLICT (customer_id) DO UPDATE SET active = true`
	for some := range slices.Chunk(own, customersAtOnce) {
		args := pgx.NamedArgs{"partner": t.run.Partner, "run": t.run.ID, "ids": some}
		if err := t.tx.SendBatch(ctx, batchOf(args, move, counted, activate)).Close(); err != nil {
			return fmt.Errorf("writing the customers' states: %w", err)
		}
	}
	return nil
}

// remove takes customers that are gone out of the runs, and their batches stay as they are: whoever still holds one is
// fenced off, so that no run counts it any more, and it no longer fails. It keeps those that a complete enumeration
// lacked and the guard holds back, for a later run's to confirm.
func (t *enumerating) remove(ctx context.Context, gone, hold []string) error {
	const keep = `
		UPDATE partnersync.partner_state
		SET held_customers = @held::text[], held_run = CASE WHEN @held::text[] IS NOT NULL THEN @run::bigint END
		WHERE partner = @partner`
	const deactivate = `
		UPDATE partnersync.customer_state
		SET active = false, owner = NULL, lease_epoch = lease_epoch + 1, consecutive_failures = 0, failing_since = NULL,
		    last_error_code = NULL, last_error = NULL, last_request_id = NULL, last_correlation_id = NULL
		WHERE customer_id = ANY (@ids::uuid[])`
	const endFailures = `
		UPDATE partnersync.sync_failures
		SET failing_until = greatest(failing_since, @observed::timestamptz)
		WHERE customer_id = ANY (@ids::uuid[]) AND partner = @partner AND failing_until IS NULL`
	args := pgx.NamedArgs{
		"partner": t.run.Partner, "run": t.run.ID, "observed": t.observedAt, "held": hold, "ids": gone,
	}
	if t.enumeration.Complete && (t.isHolding || len(hold) > 0) {
		if _, err := t.tx.Exec(ctx, keep, args); err != nil {
			return fmt.Errorf("keeping %s held back: %w", plural.Of(len(hold), "customer", "customers"), err)
		}
	}
	if len(gone) > 0 {
		if err := t.tx.SendBatch(ctx, batchOf(args, deactivate, endFailures)).Close(); err != nil {
			return fmt.Errorf("removing %s: %w", plural.Of(len(gone), "customer", "customers"), err)
		}
	}
	return nil
}

// countCustomers counts the run's customers, and opens them to claims.
func (t *enumerating) countCustomers(ctx context.Context, done Enumerated) (Run, error) {
	const count = `
		UPDATE partnersync.runs
		SET enumerated_at = clock_timestamp(), error = nullif(@error, ''),
		    customers_total = @contested::integer + (
		        SELECT count(*)
		        FROM partnersync.customer_state s
		        LEFT JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		        WHERE s.partner = @partner AND s.active
		          AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		          AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		          AND (coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run))
		WHERE run_id = @run`
	e, contested := t.enumeration, 0
	for id := range done.Contested {
		if t.run.Customers == nil || slices.Contains(t.run.Customers, id) {
			contested++
		}
	}
	switch {
	case e.Error != "":
	case done.Held > 0:
		e.Error = fmt.Sprintf("mass_removal_held: the enumeration lacked %d of the known customers; "+
			"they stay until the next complete enumeration confirms it", done.Held)
	case e.Complete && len(e.Customers) == 0:
		e.Error = NoCustomers
	}
	args := t.run.args()
	args["error"], args["contested"] = e.Error, contested
	batch := batchOf(args, count)
	queueCounts(batch, t.run.ID, 0, Counts{CustomersFailed: contested, Requests: e.Requests, Retries: e.Retries})
	queueReadRun(batch, &t.run)
	if err := t.tx.SendBatch(ctx, batch).Close(); err != nil {
		return t.run, fmt.Errorf("counting the run's customers: %w", err)
	}
	return t.run, nil
}
