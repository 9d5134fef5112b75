package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Turn is what a customer is claimed for.
type Turn int

// The turns of a customer in a run, in their order. Most customers have the first one only.
const (
	FirstTurn    Turn = iota + 1 // its batches, and its policies and device lists as far as they are due
	DevicesTurn                  // more of its device lists
	PoliciesTurn                 // its policies, which were not due
)

// Candidate is a customer with something left to do in a run, and what is known of it.
type Candidate struct {
	CustomerID string `db:"customer_id"`
	Turn       Turn   `db:"turn"`
	// ReadAt is when the customer was last read, whatever the outcome; nil: never.
	ReadAt *time.Time `db:"read_at"`
	// LastSuccessAt is when the customer was last read as a whole; nil: never.
	LastSuccessAt *time.Time `db:"last_success_at"`
	// UnfinishedAt is when the newest version of a batch in no terminal status began; nil: there is none.
	UnfinishedAt *time.Time `db:"unfinished_at"`
	// ChangedAt is when a listing last opened a version, first listings aside; nil: none has.
	ChangedAt *time.Time `db:"changed_at"`
	Failures  int        `db:"failures"` // since the last attempt without one
	// Reread: the batch list has to be read again at once.
	Reread   bool `db:"reread"`
	ListsDue int  `db:"lists_due"` // device lists that are to be read in each pass, as of the last time
	// PoliciesAt is when the policies were last read completely; nil: never.
	PoliciesAt *time.Time `db:"policies_at"`
}

// Urgency is how long an event makes a customer urgent.
const (
	UnfinishedUrgency = 7 * 24 * time.Hour // of a batch in no terminal status, since its last change
	ChangeUrgency     = 24 * time.Hour
	FailuresUrgency   = 3 // passes in which a customer failed
)

// Urgent reports whether something is going on at the customer, so that it is read before those at rest. The view
// sync_freshness says the same.
func (c Candidate) Urgent(now time.Time) bool {
	within := func(at *time.Time, d time.Duration) bool { return at != nil && at.After(now.Add(-d)) }
	switch {
	case c.Reread:
		return true
	case c.Failures > FailuresUrgency:
		return false
	}
	return c.LastSuccessAt == nil || c.Failures > 0 ||
		within(c.UnfinishedAt, UnfinishedUrgency) || within(c.ChangedAt, ChangeUrgency)
}

// Requests estimates how many requests the customer's first turn takes: for its batches, the device lists that are due
// and, in a share of all turns, its policies.
func (c Candidate) Requests() int { return 1 + min(c.ListsDue, maxListsOfTurn) }

// Candidates returns the customers that have something left to do in the run, in no particular order. Those that other
// workers hold are among them.
func (s *Store) Candidates(ctx context.Context, run Run) ([]Candidate, error) {
	const query = `
		SELECT s.customer_id::text,
		       CASE WHEN coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run THEN 1
		            WHEN r.devices_left AND @devices THEN 2
		            ELSE 3 END AS turn,
		       greatest(s.last_attempt_at, s.last_success_at) AS read_at, s.last_success_at,
		       s.unfinished_at, s.changed_at, s.consecutive_failures AS failures, s.reread,
		       s.lists_due, p.confirmed_at AS policies_at
		FROM partnersync.customer_state s
		LEFT JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = @kind
		LEFT JOIN partnersync.list_state p
		       ON p.customer_id = s.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
		WHERE s.partner = @partner AND s.active
		  AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
		  AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
		  AND (coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run OR r.devices_left AND @devices
		       OR @policies AND r.outcome = 'ok' AND p.last_run IS DISTINCT FROM @run)`
	candidates, err := collect(ctx, s.readOnly, query, run.args(), pgx.RowToStructByName[Candidate])
	if err != nil {
		return nil, fmt.Errorf("reading which customers run %d has left to do: %w", run.ID, err)
	}
	return candidates, nil
}
