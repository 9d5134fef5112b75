package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// enqueueCustomerEvents puts customers that have failed for long enough, and those of them that have recovered,
// into the outbox, and reports whether there were any. The transaction holds the customers' states.
func enqueueCustomerEvents(
	ctx context.Context, s *Store, tx pgx.Tx, run Run, results []Result,
) (enqueued bool, err error) {
	var recovered []string
	var events []event
	for _, r := range results {
		switch {
		case !r.settled():
		case r.Failure != nil:
			more, err := s.failingEvents(ctx, tx, run, r)
			if err != nil {
				return false, err
			}
			events = append(events, more...)
		case r.Claim.failures > 0:
			recovered = append(recovered, r.Claim.CustomerID)
		}
	}
	if err := enqueue(ctx, tx, events); err != nil {
		return false, err
	}
	enqueued, err = s.enqueueRecovered(ctx, tx, run, recovered)
	return enqueued || len(events) > 0, err
}

// failingEvents returns the events of a customer that has just failed often enough, and remembers that for each
// endpoint. A customer that has never been synced is not failing after a single pass.
func (s *Store) failingEvents(ctx context.Context, tx pgx.Tx, run Run, r Result) (events []event, err error) {
	// What is remembered from an earlier time, under another partner, does not count.
	const remember = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		SELECT @endpoint, @type, s.customer_id::text, s.failing_since
		FROM partnersync.customer_state s
		WHERE s.customer_id = @customer_id::uuid
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since WHERE n.since < excluded.since
		RETURNING since`
	id, customer := uuid.New(), r.Claim.CustomerID
	for _, e := range s.subscribers(run.Partner, CustomerFailing, CustomerRecovered) {
		after := e.FailingAfter
		if !r.Claim.synced {
			after = max(after, 2)
		}
		if r.failures() < after || r.Claim.failures >= after { // not yet, or already before this pass
			continue
		}
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customer_id": customer}
		var since time.Time
		switch err := tx.QueryRow(ctx, remember, args).Scan(&since); {
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case err != nil:
			return nil, fmt.Errorf("remembering that customer %s is failing: %w", customer, err)
		}
		if !e.subscribes(CustomerFailing, run.Partner) {
			continue
		}
		data := EventData{
			Partner: run.Partner, CustomerID: customer, ConsecutiveFailures: r.failures(), FailingSince: &since,
			ErrorCode: r.Failure.Code, Error: r.Failure.Message,
			RequestID: r.Failure.RequestID, CorrelationID: r.Failure.CorrelationID,
		}
		if data.CompanyName, err = companyName(ctx, tx, customer); err != nil {
			return nil, err
		}
		events = append(events, event{endpoint: e.Name, kind: CustomerFailing, id: id, data: data})
	}
	return events, nil
}

// enqueueRecovered puts those of the customers into the outbox that an endpoint knows as failing, and reports whether
// there were any. The transaction holds the customers' states.
func (s *Store) enqueueRecovered(ctx context.Context, tx pgx.Tx, run Run, customers []string) (enqueued bool, err error) {
	const forget = `
		DELETE FROM partnersync.notified
		WHERE endpoint = @endpoint AND type = @type AND subject = ANY (@customers::text[])
		RETURNING subject AS customer_id, since`
	type recovered struct {
		CustomerID string    `db:"customer_id"`
		Since      time.Time `db:"since"`
	}
	if len(customers) == 0 {
		return false, nil
	}
	var events []event
	ids := map[string]uuid.UUID{} // by customer
	for _, e := range s.subscribers(run.Partner, CustomerFailing, CustomerRecovered) {
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customers": customers}
		rows, _ := tx.Query(ctx, forget, args) // CollectRows returns its error
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[recovered])
		if err != nil {
			return false, fmt.Errorf("forgetting customers that have recovered: %w", err)
		}
		for _, c := range all {
			if !e.subscribes(CustomerRecovered, run.Partner) {
				continue
			}
			if _, ok := ids[c.CustomerID]; !ok {
				ids[c.CustomerID] = uuid.New()
			}
			data := EventData{Partner: run.Partner, CustomerID: c.CustomerID, FailingSince: &c.Since}
			if data.CompanyName, err = companyName(ctx, tx, c.CustomerID); err != nil {
				return false, err
			}
			events = append(events, event{endpoint: e.Name, kind: CustomerRecovered, id: ids[c.CustomerID], data: data})
		}
	}
	return len(events) > 0, enqueue(ctx, tx, events)
}

// companyName returns the customer's name; nil if none is known.
func companyName(ctx context.Context, tx pgx.Tx, customerID string) (name *string, err error) {
	const query = `
		SELECT max(company_name) FROM partner_center.customers WHERE customer_id = @customer_id::uuid`
	if err := tx.QueryRow(ctx, query, pgx.NamedArgs{"customer_id": customerID}).Scan(&name); err != nil {
		return nil, fmt.Errorf("reading the name of customer %s: %w", customerID, err)
	}
	return name, nil
}

// EnqueueSignInFailed puts into the outbox that the partner's sign-in was refused, once until ClearSignInFailed.
// During a partner's first run it does nothing: somebody is setting it up.
func (s *Store) EnqueueSignInFailed(ctx context.Context, partner string, f Failure) error {
	const remember = `
		INSERT INTO partnersync.notified (endpoint, type, subject, since)
		SELECT @endpoint, @type, @partner, clock_timestamp()
		WHERE (SELECT count(*) FROM (
		    SELECT 1 FROM partnersync.runs WHERE partner = @partner AND state <> 'running' LIMIT 2) r) = 2
		ON CONFLICT DO NOTHING`
	subscribers := s.subscribers(partner, SignInFailed)
	if len(subscribers) == 0 {
		return nil
	}
	data := EventData{
		Partner: partner, ErrorCode: f.Code, Error: f.Message, RequestID: f.RequestID, CorrelationID: f.CorrelationID,
	}
	err := s.writeEvents(ctx, func(tx pgx.Tx) (events []event, err error) {
		id := uuid.New()
		for _, e := range subscribers {
			args := pgx.NamedArgs{"endpoint": e.Name, "type": SignInFailed, "partner": partner}
			tag, err := tx.Exec(ctx, remember, args)
			if err != nil {
				return nil, err
			}
			if tag.RowsAffected() > 0 {
				events = append(events, event{endpoint: e.Name, kind: SignInFailed, id: id, data: data})
			}
		}
		return events, nil
	})
	if err != nil {
		return fmt.Errorf("putting the refused sign-in of partner %s into the outbox: %w", partner, err)
	}
	return nil
}

// ClearSignInFailed ends what EnqueueSignInFailed began: the next refusal is an event again.
func (s *Store) ClearSignInFailed(ctx context.Context, partner string) error {
	const forget = `
		DELETE FROM partnersync.notified WHERE type = @type AND subject = @partner`
	if len(s.subscribers(partner, SignInFailed)) == 0 {
		return nil
	}
	if _, err := s.exec(ctx, forget, pgx.NamedArgs{"type": SignInFailed, "partner": partner}); err != nil {
		return fmt.Errorf("clearing the refused sign-in of partner %s: %w", partner, err)
	}
	return nil
}
