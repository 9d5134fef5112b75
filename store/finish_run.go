package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/cron"
)

// RunEnd says when a run ends. What is left then is deferred: that is done by a later run, and no failure.
type RunEnd int

// Values of RunEnd. A turn for policies that are not due keeps no run from its end.
const (
	WhenDone RunEnd = iota // when no customer has its first turn or device lists left
	AtTick                 // when no live worker holds such a customer any more
	AtCutOff               // at once
)

// FinishRun ends the run if it does not go on, and returns it as it is then: its State is Running if it does.
func (s *Store) FinishRun(ctx context.Context, run Run, end RunEnd) (Run, error) {
	now, args := run, run.args()
	args["end"] = int(end)
	err := s.write(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		if run.Kind == Scheduled {
			batch = batchOf(args, createPartnerSQL, lockPartnerSQL) // whose rounds are noted
		}
		batch.Queue(lockRunSQL, args)
		ended := false
		batch.Queue(finishRunSQL, args).Exec(func(tag pgconn.CommandTag) error {
			ended = tag.RowsAffected() > 0
			return nil
		})
		now = run
		queueReadRun(batch, &now)
		err := tx.SendBatch(ctx, batch).Close()
		if now.EndedHere = ended; err == nil && ended && run.Kind == Scheduled {
			err = noteRounds(ctx, tx, run.Partner, run.Rate)
		}
		return err
	})
	if err != nil {
		return run, fmt.Errorf("finishing run %d of partner %s: %w", run.ID, run.Partner, err)
	}
	return now, nil
}

// Results of a scheduled run that are being recorded are waited for before anything is counted: RecordResults locks the
// run too.
const lockRunSQL = `
	SELECT FROM partnersync.runs WHERE run_id = @run FOR UPDATE`

// Customers may have come and gone since the run began, so that the total is counted anew.
const finishRunSQL = `
	UPDATE partnersync.runs r
	SET finished_at = clock_timestamp(),
	    customers_total = n.ok + n.failed + d.deferred,
	    read_all_customers = @customers::uuid[] IS NULL AND @skip::uuid[] IS NULL AND d.deferred = 0,
	    state = CASE WHEN n.ok = 0 AND n.failed > 0 OR n.ok + n.failed + d.deferred = 0 THEN 'failed'
	                 WHEN n.failed > 0 OR r.error IS NOT NULL THEN 'partial'
	                 ELSE 'complete' END
	FROM (
	    SELECT coalesce(sum(customers_ok), 0) AS ok, coalesce(sum(customers_failed), 0) AS failed
	    FROM partnersync.run_counts
	    WHERE run_id = @run
	) n, (
	    SELECT count(*) FILTER (WHERE untried) AS deferred, count(*) AS remaining, count(*) FILTER (WHERE held) AS held
	    FROM (
	        SELECT coalesce(c.run_id, 0) < @run OR @kind = 'backfill' AND c.run_id <> @run AS untried,
	               s.owner IN (SELECT worker_id FROM partnersync.live_workers) AS held
	        FROM partnersync.customer_state s
	        LEFT JOIN partnersync.customer_runs c ON c.customer_id = s.customer_id AND c.kind = @kind
	        WHERE s.partner = @partner AND s.active
	          AND (@customers::uuid[] IS NULL OR s.customer_id = ANY (@customers::uuid[]))
	          AND (@skip::uuid[] IS NULL OR s.customer_id <> ALL (@skip::uuid[]))
	          AND (coalesce(c.run_id, 0) < @run OR @kind = 'backfill' AND c.run_id <> @run
	               OR c.run_id = @run AND c.devices_left
	                  AND (@devices OR s.owner IN (SELECT worker_id FROM partnersync.live_workers)))
	    ) c
	) d
	WHERE r.run_id = @run AND r.state = 'running' AND r.enumerated_at IS NOT NULL
	  AND (d.remaining = 0 OR @end = 1 AND d.held = 0 OR @end = 2)`

// Rate is how fast a partner's customers may be read.
type Rate struct {
	RequestsPerMinute int           // 0: there is no limit
	Interval          time.Duration // between ticks
	NextTick          time.Time
}

// Load is how many requests the partner's customers need.
type Load struct {
	Urgent int `db:"urgent"`  // to read the urgent customers once
	AtRest int `db:"at_rest"` // to read the batch lists of the others, and their device lists that are due, once
	// Policies are the customers at rest, whose policies are read about once a day.
	Policies int `db:"policies"`
	// PerMinute is how many requests were made in a minute of the last hour, on average.
	PerMinute int `db:"per_minute"`
}

// Rounds returns how often the urgent customers and those at rest are read. The urgent ones come first, at each tick if
// the rate allows, and leave the others a tenth of it at least. Where there is no limit, the rate is taken to be that
// of the last hour; where nothing is known of that either, all are read at each tick.
func (l Load) Rounds(r Rate) (urgent, atRest time.Duration) {
	perMinute, interval := float64(r.RequestsPerMinute), r.Interval.Minutes()
	if perMinute == 0 {
		perMinute = float64(l.PerMinute)
	}
	if perMinute == 0 || float64(l.Urgent+l.AtRest+l.Policies) <= perMinute*interval {
		return r.Interval, r.Interval
	}
	minutes := func(m float64) time.Duration { return max(r.Interval, time.Duration(m*float64(time.Minute))) }
	left := max(perMinute-float64(l.Urgent)/interval, perMinute/10)
	left = max(left-float64(l.Policies)/(1.125*policiesRefresh.Minutes()), left/10)
	return minutes(float64(l.Urgent) / (0.9 * perMinute)), minutes(float64(l.AtRest) / left)
}

// noteRounds keeps the partner's next tick, and how often its customers are read, for sync_freshness and the findings.
func noteRounds(ctx context.Context, tx pgx.Tx, partner string, r Rate) error {
	const load = `
		SELECT coalesce(sum(1 + least(c.lists_due, @lists)) FILTER (WHERE f.urgent), 0)::integer AS urgent,
		       coalesce(sum(1 + c.lists_due) FILTER (WHERE NOT f.urgent), 0)::integer AS at_rest,
		       count(*) FILTER (WHERE NOT f.urgent)::integer AS policies,
		       CASE WHEN @unlimited THEN (
		           SELECT coalesce(sum(r.requests) / 60, 0)
		           FROM partner_center.sync_runs r
		           WHERE r.partner = @partner AND r.started_at > clock_timestamp() - interval '1 hour'
		       ) ELSE 0 END::integer AS per_minute
		FROM partner_center.sync_freshness f
		JOIN partnersync.customer_state c ON c.customer_id = f.customer_id AND c.partner = f.partner
		WHERE f.partner = @partner`
	const note = `
		UPDATE partnersync.partner_state SET next_tick = @tick, urgent_round = @urgent_round, round = @round
		WHERE partner = @partner`
	args := pgx.NamedArgs{"partner": partner, "tick": r.NextTick, "lists": maxListsOfTurn, "unlimited": r.RequestsPerMinute == 0}
	rows, _ := tx.Query(ctx, load, args) // CollectExactlyOneRow returns its error
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Load])
	if err == nil {
		urgent, atRest := l.Rounds(r)
		args["urgent_round"], args["round"] = urgent, atRest
		_, err = tx.Exec(ctx, note, args)
	}
	if err != nil {
		return fmt.Errorf("noting how often the customers are read: %w", err)
	}
	return nil
}

// RoundsInWords says how often customers are read at a rate, such as "at 500 requests a minute a round over all
// customers takes 44 min; urgent ones are read every 15 min".
func RoundsInWords(requestsPerMinute int, urgent, atRest time.Duration) string {
	rate := fmt.Sprintf("at %d requests a minute", requestsPerMinute)
	if requestsPerMinute == 0 {
		rate = "at the rate of the last hour"
	}
	return fmt.Sprintf("%s a round over all customers takes %s; urgent ones are read every %s",
		rate, cron.FormatDuration(atRest.Round(time.Second)), cron.FormatDuration(urgent.Round(time.Second)))
}
