package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// noteResults puts customers that have failed for long enough, and those of them that have recovered, into the outbox, and
// tells whether there were any. It costs nothing where no customer fails or did before.
func noteResults(ctx context.Context, s *Store, tx *transaction, run Run, results []Result, verdicts map[string]*verdict) (noted bool, err error) {
	var ok []string
	var events []event
	for _, r := range results {
		v := verdicts[r.Claim.CustomerID]
		switch {
		case v.Verdict == "ok" && v.FailuresBefore > 0:
			ok = append(ok, v.CustomerID)
		case v.Verdict == "failed":
			more, err := s.noteFailing(ctx, tx, run, r.Failure, v)
			if err != nil {
				return false, err
			}
			events = append(events, more...)
		}
	}
	if err := queue(ctx, tx, events); err != nil {
		return false, err
	}
	recovered, err := s.noteRecovered(ctx, tx, run, ok)
	return recovered || len(events) > 0, err
}

// noteFailing returns the events of a customer that has just failed. One pass is not yet a failing customer where it is the
// first of all.
func (s *Store) noteFailing(ctx context.Context, tx *transaction, run Run, f *Failure, v *verdict) (events []event, err error) {
	// What was told of before is over where the customer has a new partner since.
	const note = `
		INSERT INTO partnersync.notified AS n (endpoint, type, subject, since)
		VALUES (@endpoint, @type, @subject, @since)
		ON CONFLICT (endpoint, type, subject) DO UPDATE SET since = excluded.since WHERE n.since < excluded.since`
	id := uuid.New()
	for _, e := range s.told(run.Partner, CustomerFailing, CustomerRecovered) {
		after := e.FailingAfter
		if !v.Synced {
			after = max(after, 2)
		}
		if v.Failures < after || v.FailuresBefore >= after { // it failed as often before anybody was told
			continue
		}
		args := pgx.NamedArgs{"endpoint": e.Name, "type": CustomerFailing, "subject": v.CustomerID, "since": v.FailingSince}
		tag, err := tx.Exec(ctx, note, args)
		if err != nil {
			return nil, fmt.Errorf("noting a failing customer: %w", err)
		}
		if tag.RowsAffected() == 0 || !e.wants(CustomerFailing, run.Partner) {
			continue
		}
		data := v.data(run, f)
		if data.CompanyName, err = companyName(ctx, tx, v.CustomerID); err != nil {
			return nil, err
		}
		events = append(events, event{endpoint: e.Name, kind: CustomerFailing, id: id, data: data})
	}
	return events, nil
}

func (v *verdict) data(run Run, f *Failure) *EventData {
	d := &EventData{
		Partner: run.Partner, CustomerID: v.CustomerID,
		ConsecutiveFailures: v.Failures, FailingSince: inUTC(v.FailingSince),
	}
	if f != nil {
		d.ErrorCode, d.Error, d.RequestID, d.CorrelationID = f.Code, f.Message, f.RequestID, f.CorrelationID
	}
	return d
}

// noteRecovered puts those of the customers into the outbox of whose failing somebody was told, and tells whether there
// were any. The transaction holds their states.
func (s *Store) noteRecovered(ctx context.Context, tx *transaction, run Run, customers []string) (noted bool, err error) {
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
func companyName(ctx context.Context, tx *transaction, customerID string) (name *string, err error) {
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
	err := s.write(ctx, func(tx *transaction) error {
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
