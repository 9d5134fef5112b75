package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// enqueueCustomerEvents puts customers that have failed for long enough, and those of them that have recovered, into the
// outbox, and reports whether there were any. It costs nothing where no customer fails or did before.
func enqueueCustomerEvents(ctx context.Context, s *Store, tx pgx.Tx, run Run, results []Result) (enqueued bool, err error) {
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
	if err := queue(ctx, tx, events); err != nil {
		return false, err
	}
	enqueued, err = s.enqueueRecovered(ctx, tx, run, recovered)
	return enqueued || len(events) > 0, err
}

// failingEvents returns the events of a customer that has just failed. One pass is not yet a failing customer where it is
// the first of all.
func (s *Store) failingEvents(ctx context.Context, tx pgx.Tx, run Run, r Result) (events []event, err error) {
	// An earlier event is over where the customer has a new partner since.
	const note = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		SELECT @endpoint, @type, s.customer_id::text, s.failing_since
		FROM partnersync.customer_state s
		WHERE s.customer_id = @customer_id::uuid
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since WHERE n.since < excluded.since
		RETURNING since`
	id, failures := uuid.New(), r.failures()
	for _, e := range s.told(run.Partner, CustomerFailing, CustomerRecovered) {
		after := e.FailingAfter
		if !r.Claim.synced {
			after = max(after, 2)
		}
		if failures < after || r.Claim.failures >= after { // it had failed as often before
			continue
		}
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customer_id": r.Claim.CustomerID}
		var since time.Time
		err := tx.QueryRow(ctx, note, args).Scan(&since)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("noting a failing customer: %w", err)
		}
		if !e.wants(CustomerFailing, run.Partner) {
			continue
		}
		data := &EventData{
			Partner: run.Partner, CustomerID: r.Claim.CustomerID, ConsecutiveFailures: failures, FailingSince: inUTC(&since),
			ErrorCode: r.Failure.Code, Error: r.Failure.Message,
			RequestID: r.Failure.RequestID, CorrelationID: r.Failure.CorrelationID,
		}
		if data.CompanyName, err = companyName(ctx, tx, r.Claim.CustomerID); err != nil {
			return nil, err
		}
		events = append(events, event{endpoint: e.Name, kind: CustomerFailing, id: id, data: data})
	}
	return events, nil
}

// enqueueRecovered puts those of the customers into the outbox of whose failing an endpoint was told, and reports whether
// there were any. The transaction holds their states.
func (s *Store) enqueueRecovered(ctx context.Context, tx pgx.Tx, run Run, customers []string) (enqueued bool, err error) {
	const forget = `
		DELETE FROM partnersync.notified
		WHERE endpoint = @endpoint AND type = @type AND subject = ANY (@customers::text[])
		RETURNING subject, since`
	told := s.told(run.Partner, CustomerFailing, CustomerRecovered)
	if len(told) == 0 || len(customers) == 0 {
		return false, nil
	}
	var events []event
	ids := map[string]uuid.UUID{} // by customer
	for _, e := range told {
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "customers": customers}
		rows, _ := tx.Query(ctx, forget, args) // CollectRows returns its error
		over, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lastedSince])
		if err != nil {
			return false, fmt.Errorf("noting recovered customers: %w", err)
		}
		for _, o := range over {
			if !e.wants(CustomerRecovered, run.Partner) {
				continue
			}
			if _, ok := ids[o.Customer]; !ok {
				ids[o.Customer] = uuid.New()
			}
			data := &EventData{Partner: run.Partner, CustomerID: o.Customer, FailingSince: inUTC(&o.Since)}
			if data.CompanyName, err = companyName(ctx, tx, o.Customer); err != nil {
				return false, err
			}
			events = append(events, event{endpoint: e.Name, kind: CustomerRecovered, id: ids[o.Customer], data: data})
		}
	}
	return len(events) > 0, queue(ctx, tx, events)
}

// lastedSince is a customer whose failing is over, and when that began.
type lastedSince struct {
	Customer string
	Since    time.Time
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

// NoteSignInFailed puts into the outbox that the partner's sign-in was refused, once until NoteSignedIn. A partner's first
// run is none to tell of: somebody is setting it up.
func (s *Store) NoteSignInFailed(ctx context.Context, partner string, f Failure) error {
	const note = `
		INSERT INTO partnersync.notified (endpoint, type, subject, since)
		SELECT @endpoint, @type, @partner, clock_timestamp()
		WHERE (SELECT count(*) FROM (
		    SELECT 1 FROM partnersync.runs WHERE partner = @partner AND state <> 'running' LIMIT 2) r) = 2
		ON CONFLICT DO NOTHING`
	told := s.told(partner, SignInFailed)
	if len(told) == 0 {
		return nil
	}
	noted := false
	err := s.write(ctx, func(tx pgx.Tx) error {
		id := uuid.New()
		data := &EventData{Partner: partner, ErrorCode: f.Code, Error: f.Message, RequestID: f.RequestID, CorrelationID: f.CorrelationID}
		var events []event
		for _, e := range told {
			tag, err := tx.Exec(ctx, note, pgx.NamedArgs{"endpoint": e.Name, "type": SignInFailed, "partner": partner})
			if err != nil {
				return err
			}
			if tag.RowsAffected() > 0 {
				events = append(events, event{endpoint: e.Name, kind: SignInFailed, id: id, data: data})
			}
		}
		noted = len(events) > 0
		return queue(ctx, tx, events)
	})
	if err != nil {
		return fmt.Errorf("noting that the sign-in of partner %s was refused: %w", partner, err)
	}
	if noted {
		s.wakeSender()
	}
	return nil
}

// NoteSignedIn ends what NoteSignInFailed began.
func (s *Store) NoteSignedIn(ctx context.Context, partner string) error {
	const forget = `
		DELETE FROM partnersync.notified WHERE type = @type AND subject = @partner`
	if len(s.told(partner, SignInFailed)) == 0 {
		return nil
	}
	if _, err := s.pool.Exec(ctx, forget, pgx.NamedArgs{"type": SignInFailed, "partner": partner}); err != nil {
		return fmt.Errorf("noting that partner %s is signed in: %w", partner, err)
	}
	return nil
}
