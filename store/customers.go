package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Customer is a partner's customer, as enumerated or as named in the configuration.
type Customer struct {
	ID                                string // uuid, lower case
	CompanyName, Domain, Relationship *string
}

// EnumerationClaim is the right to settle a run's customers.
type EnumerationClaim struct {
	Run   Run
	Epoch int64
	// Pause is how long the partner has still to wait because the API asked for it, as of the claim.
	Pause time.Duration
	clock clock
}

// ObservedAt turns the local time at which a request was sent into the database's time.
func (c EnumerationClaim) ObservedAt(sent time.Time) time.Time { return c.clock.at(sent) }

// ErrClaimHeld is returned for a claim that another live worker holds.
var ErrClaimHeld = errors.New("another worker holds the claim")

// ErrClaimLost is returned by a write whose claim another worker has taken over since. Nothing was written.
var ErrClaimLost = errors.New("the claim was lost to another worker")

// ClaimEnumeration claims the enumeration of the run's customers. It returns ok = false if that is done already, and
// ErrClaimHeld while another worker is at it.
func (s *Store) ClaimEnumeration(ctx context.Context, run Run) (claim EnumerationClaim, ok bool, err error) {
	const done = `SELECT enumerated_at IS NOT NULL FROM partnersync.runs WHERE run_id = @run`
	var claimed *EnumerationClaim
	var enumerated bool
	batch := &pgx.Batch{}
	s.claimEnumeration(batch, run.Partner, run.ID, &claimed)
	batch.Queue(done, pgx.NamedArgs{"run": run.ID}).QueryRow(func(row pgx.Row) error { return row.Scan(&enumerated) })
	err = s.pool.SendBatch(ctx, batch).Close()
	if err == nil && claimed == nil && !enumerated {
		err = ErrClaimHeld
	}
	switch {
	case err != nil:
		return claim, false, fmt.Errorf("claiming the enumeration of partner %s: %w", run.Partner, err)
	case claimed == nil:
		return claim, false, nil
	}
	claimed.Run = run
	return *claimed, true, nil
}

// claimEnumeration claims the enumeration unless it is done, or another live worker is at it.
func (s *Store) claimEnumeration(batch *pgx.Batch, partner string, run int64, claimed **EnumerationClaim) {
	const claimPartner = `
		UPDATE partnersync.partner_state s
		SET owner = @worker::uuid, lease_epoch = s.lease_epoch + 1
		FROM partnersync.runs r
		WHERE s.partner = @partner AND r.run_id = @run AND r.enumerated_at IS NULL
		  AND (s.owner IS NULL OR s.owner = @worker::uuid OR NOT EXISTS (
		      SELECT 1 FROM partnersync.workers w WHERE w.worker_id = s.owner AND ` + alive + `))
		RETURNING s.lease_epoch, clock_timestamp(), ` + pauseLeft
	args := pgx.NamedArgs{"worker": s.worker, "partner": partner, "run": run, "lease": s.lease}
	batch.Queue(claimPartner, args).QueryRow(func(row pgx.Row) error {
		var claim EnumerationClaim
		err := row.Scan(&claim.Epoch, &claim.clock.database, &claim.Pause)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		claim.clock.local = time.Now()
		*claimed = &claim
		return err
	})
}

// Enumeration is what was learned of a partner's customers.
type Enumeration struct {
	Customers  []Customer // SettleCustomers sorts them
	ObservedAt time.Time
	// Complete: customers that are not listed are removed.
	Complete bool
	// Guarded: too many removals at once are held until a later run's enumeration confirms them. A list from the
	// configuration is believed at once.
	Guarded bool
	// Excluded customers are removed, however many, if they are known.
	Excluded []string
	// Partners are all that the configuration has, so that a failure can tell of one that it has no more; nil: not known.
	Partners []string
	// Requests and Retries are HTTP attempts, and those after the first.
	Requests, Retries int
	// Error is why the enumeration failed, if it did.
	Error string
	// Claim is how many of the run's customers to claim, as ClaimCustomers does from the beginning; 0: none.
	Claim int
}

// Enumerated says what an enumeration changed.
type Enumerated struct {
	Run                  Run // with its state and counts as they are now
	Added, Removed, Held int
	// Contested are the customers that belong to another partner, by id, with that partner's name.
	Contested map[string]string
	Claims    []Claim // as asked for
}

// NoCustomers is the error of a run whose complete enumeration has nobody.
const NoCustomers = "no_customers: the partner has no customers to read: check customers and exclude_customers, and that the API lists customers whose relationship is reseller"

// SettleCustomers writes the outcome of an enumeration, and with it opens the run's customers to claims. A customer that
// belongs to another partner is left alone and counted as failed. The error wraps ErrClaimLost if the claim was lost.
func (s *Store) SettleCustomers(ctx context.Context, c EnumerationClaim, e Enumeration) (Enumerated, error) {
	var done Enumerated
	err := s.write(ctx, func(tx *transaction) error {
		t := enumerating{tx: tx, partner: c.Run.Partner, run: c.Run, observed: e.ObservedAt.UTC().Truncate(time.Microsecond)}
		d, heldBefore, err := t.enter(ctx, c.Epoch, e)
		if err != nil {
			return err
		}
		if done, err = t.merge(ctx, e, d, heldBefore); err != nil {
			return err
		}
		switch {
		case e.Error != "":
		case done.Held > 0:
			e.Error = fmt.Sprintf("mass_removal_held: the enumeration lacked %d of the known customers; they stay until the next complete enumeration confirms it", done.Held)
		case e.Complete && len(e.Customers) == 0:
			e.Error = NoCustomers
		}
		return t.settle(ctx, s, e, &done)
	})
	if err != nil {
		return Enumerated{}, fmt.Errorf("writing the customers of partner %s: %w", c.Run.Partner, err)
	}
	return done, nil
}

// PartnerOf returns the partner that the customer belongs to; "" if it is not known, or removed, or the schema is missing.
func (s *Store) PartnerOf(ctx context.Context, customerID string) (string, error) {
	const query = `
		SELECT partner FROM partner_center.customers WHERE customer_id = @customer_id::uuid AND removed_at IS NULL`
	partners, err := collect(ctx, s, query, pgx.NamedArgs{"customer_id": customerID}, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("looking for customer %s: %w", customerID, err)
	}
	if len(partners) == 0 {
		return "", nil
	}
	return partners[0], nil
}

// KnownCustomers returns the partner's customers that are not removed, by id; none where the schema is missing.
func (s *Store) KnownCustomers(ctx context.Context, partner string) ([]Customer, error) {
	const query = `
		SELECT customer_id::text, company_name, domain, relationship
		FROM partner_center.customers
		WHERE partner = @partner AND removed_at IS NULL
		ORDER BY customer_id`
	customers, err := collect(ctx, s, query, pgx.NamedArgs{"partner": partner}, pgx.RowToStructByPos[Customer])
	if err != nil {
		return nil, fmt.Errorf("reading the customers of partner %s: %w", partner, err)
	}
	return customers, nil
}

// collect reads all rows; none from a table that does not exist.
func collect[T any](ctx context.Context, s *Store, query string, args pgx.NamedArgs, read pgx.RowToFunc[T]) ([]T, error) {
	rows, _ := s.pool.Query(ctx, query, args) // CollectRows returns its error
	all, err := pgx.CollectRows(rows, read)
	if missing(err) {
		return nil, nil
	}
	return all, err
}

// missing reports whether the error is that a table or its schema does not exist: undefined_table, invalid_schema_name.
func missing(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "42P01" || e.Code == "3F000")
}
