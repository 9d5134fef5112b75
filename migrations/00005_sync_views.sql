-- +goose Up
CREATE VIEW partner_center.sync_runs AS
SELECT r.run_id, r.partner, r.kind, r.scheduled_for, r.started_at, r.finished_at, r.state,
       greatest(r.customers_total, n.customers_ok + n.customers_failed)::integer AS customers_total,
       coalesce(n.customers_ok, 0)::integer     AS customers_ok,
       coalesce(n.customers_failed, 0)::integer AS customers_failed,
       CASE WHEN r.state = 'running' THEN 0
            ELSE greatest(r.customers_total - coalesce(n.customers_ok + n.customers_failed, 0), 0) END::integer AS customers_deferred,
       coalesce(n.inserted, 0)::bigint          AS inserted,
       coalesce(n.changed, 0)::bigint           AS changed,
       coalesce(n.removed, 0)::bigint           AS removed,
       coalesce(n.unchanged, 0)::bigint         AS unchanged,
       coalesce(n.requests, 0)::bigint          AS requests,
       coalesce(n.retries, 0)::bigint           AS retries,
       r.error, r.read_all_customers
FROM partnersync.runs r
LEFT JOIN LATERAL (
    SELECT sum(c.customers_ok) AS customers_ok, sum(c.customers_failed) AS customers_failed,
           sum(c.inserted) AS inserted, sum(c.changed) AS changed, sum(c.removed) AS removed, sum(c.unchanged) AS unchanged,
           sum(c.requests) AS requests, sum(c.retries) AS retries
    FROM partnersync.run_counts c
    WHERE c.run_id = r.run_id
) n ON true;
COMMENT ON VIEW partner_center.sync_runs IS 'Every pass over a partner''s customers. Counts are rows of all resources.';
COMMENT ON COLUMN partner_center.sync_runs.run_id IS 'Grows with time.';
COMMENT ON COLUMN partner_center.sync_runs.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partner_center.sync_runs.kind IS 'scheduled: a tick of the daemon; once: partnersync --once; backfill: partnersync --backfill.';
COMMENT ON COLUMN partner_center.sync_runs.scheduled_for IS 'The tick of the schedule; for other runs when they were asked for.';
COMMENT ON COLUMN partner_center.sync_runs.started_at IS 'When the run began.';
COMMENT ON COLUMN partner_center.sync_runs.finished_at IS 'When the run ended; null while it is running.';
COMMENT ON COLUMN partner_center.sync_runs.state IS 'running; complete: no customer failed; partial: some failed; failed: some failed and none was ok, or there was no customer at all; abandoned: stopped before its end.';
COMMENT ON COLUMN partner_center.sync_runs.customers_total IS 'Number of customers in the run.';
COMMENT ON COLUMN partner_center.sync_runs.customers_ok IS 'Customers whose lists were read and merged, as far as they were due.';
COMMENT ON COLUMN partner_center.sync_runs.customers_failed IS 'Customers of whom any list failed or was held back.';
COMMENT ON COLUMN partner_center.sync_runs.customers_deferred IS 'Customers left for a later pass when the run ended, which is no failure; 0 while it is running.';
COMMENT ON COLUMN partner_center.sync_runs.inserted IS 'Rows seen for the first time.';
COMMENT ON COLUMN partner_center.sync_runs.changed IS 'New versions of known rows, returns included, removals not.';
COMMENT ON COLUMN partner_center.sync_runs.removed IS 'Rows that a complete listing lacked for the first time.';
COMMENT ON COLUMN partner_center.sync_runs.unchanged IS 'Rows that were listed and no different.';
COMMENT ON COLUMN partner_center.sync_runs.requests IS 'HTTP attempts, those for tokens included.';
COMMENT ON COLUMN partner_center.sync_runs.retries IS 'HTTP attempts after the first of each request.';
COMMENT ON COLUMN partner_center.sync_runs.error IS 'What went wrong with the run as a whole; failures of single customers are in sync_freshness and sync_failures.';
COMMENT ON COLUMN partner_center.sync_runs.read_all_customers IS
    'True of a run that is over and has read all of the partner''s customers, but for those that failed: it was not restricted to some, and left none for a later pass.';

CREATE VIEW partner_center.sync_freshness AS
SELECT c.customer_id, c.partner, c.company_name,
       greatest(s.last_attempt_at, s.last_success_at) AS last_attempt_at, s.last_success_at,
       now() - s.last_success_at            AS age,
       coalesce(s.consecutive_failures, 0)  AS consecutive_failures,
       s.failing_since, s.last_error_code, s.last_error, s.last_request_id, s.last_correlation_id,
       coalesce(u.urgent, true)             AS urgent,
       CASE WHEN coalesce(u.urgent, true) THEN p.next_tick
            ELSE greatest(p.next_tick, greatest(s.last_attempt_at, s.last_success_at) + p.round) END AS next_expected_at,
       coalesce(s.lists_failing, 0)         AS lists_failing,
       CASE WHEN s.lists_failing > 0 THEN (
           SELECT string_agg(l.batch_id || ': ' || l.error, E'\n' ORDER BY l.batch_id)
           FROM (
               SELECT l.batch_id, l.error
               FROM partnersync.list_state l
               WHERE l.customer_id = c.customer_id AND l.resource = 'devices' AND l.error IS NOT NULL
               ORDER BY l.batch_id
               LIMIT 3
           ) l
       ) END                                AS failing_lists,
       extract(epoch FROM now() - s.last_success_at)::double precision AS age_seconds
FROM partner_center.customers c
LEFT JOIN partnersync.customer_state s ON s.customer_id = c.customer_id
LEFT JOIN partnersync.partner_state p ON p.partner = c.partner
-- The same as Candidate.Urgent, by which passes put customers in order.
CROSS JOIN LATERAL (
    SELECT s.reread OR s.consecutive_failures <= 3 AND (
               s.last_success_at IS NULL OR s.consecutive_failures > 0
               OR coalesce(s.unfinished_at > now() - interval '7 days', false)
               OR coalesce(s.changed_at > now() - interval '1 day', false)) AS urgent
) u
WHERE c.removed_at IS NULL
UNION ALL
SELECT t.customer_id, t.partner, t.company_name, t.last_attempt_at, NULL, NULL,
       t.consecutive_failures, t.failing_since, 'customer_of_two_partners', t.last_error, NULL, NULL, false, NULL, 0, NULL, NULL
FROM partnersync.contested_customers t;
COMMENT ON VIEW partner_center.sync_freshness IS
    'How fresh each customer''s data is, and why it fails if it does. One row a customer; a customer that two partners list has one more under the second.';
COMMENT ON COLUMN partner_center.sync_freshness.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.sync_freshness.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partner_center.sync_freshness.company_name IS 'The customer''s name, where the API gave it.';
COMMENT ON COLUMN partner_center.sync_freshness.last_attempt_at IS 'When the customer was last read, whatever the outcome.';
COMMENT ON COLUMN partner_center.sync_freshness.last_success_at IS 'When its batches, and its policies where they were due, were last read and merged. Of device lists, lists_failing and failing_lists tell.';
COMMENT ON COLUMN partner_center.sync_freshness.age IS 'Time since last_success_at; null before the first success.';
COMMENT ON COLUMN partner_center.sync_freshness.consecutive_failures IS 'Failed attempts since the last success.';
COMMENT ON COLUMN partner_center.sync_freshness.failing_since IS 'When the first of those failed; null if the last attempt succeeded.';
COMMENT ON COLUMN partner_center.sync_freshness.last_error_code IS 'The API''s own code, else http_503 and the like, else a word of partnersync such as incomplete_listing; null after a success.';
COMMENT ON COLUMN partner_center.sync_freshness.last_error IS 'The failure in words; null after a success.';
COMMENT ON COLUMN partner_center.sync_freshness.last_request_id IS 'MS-RequestId to quote to Microsoft''s support; null after a success.';
COMMENT ON COLUMN partner_center.sync_freshness.last_correlation_id IS 'MS-CorrelationId to quote to Microsoft''s support; null after a success.';
COMMENT ON COLUMN partner_center.sync_freshness.urgent IS 'True while something is going on at the customer, so that each pass reads it first: it was never read as a whole, a batch is in motion, it changed within a day, it failed in one to three passes, or its last turn was cut off.';
COMMENT ON COLUMN partner_center.sync_freshness.next_expected_at IS 'When the customer is expected to be read next, at the rate that there is; null before the first scheduled pass, and for a customer of two partners.';
COMMENT ON COLUMN partner_center.sync_freshness.lists_failing IS 'Device lists of the customer whose last read failed. One that the API lastingly refuses is among them, though it does not make the customer fail.';
COMMENT ON COLUMN partner_center.sync_freshness.failing_lists IS 'The first three of them by batch_id, with the reason, a line each; null: there are none.';
COMMENT ON COLUMN partner_center.sync_freshness.age_seconds IS 'age in seconds.';

-- +goose Down
DROP VIEW partner_center.sync_freshness;
DROP VIEW partner_center.sync_runs;
