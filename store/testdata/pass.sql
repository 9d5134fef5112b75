BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE;
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT set_config(name, value, true)
FROM (VALUES
    ('idle_in_transaction_session_timeout', '20000'), ('statement_timeout', '300000'), ('lock_timeout', '0'),
    ('plan_cache_mode', 'auto'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1')
) AS setting (name, value);
-- PostgreSQL 17 and newer have it.
SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL;

WITH progress AS (
    UPDATE partnersync.run_workers
    SET progressed_at = clock_timestamp()
    WHERE worker_id = @worker::uuid AND run_id = ANY (@runs::bigint[])
)
INSERT INTO partnersync.workers (worker_id, host, version, started_at, heartbeat_at, lease)
VALUES (@worker::uuid, @host, @version, clock_timestamp(), clock_timestamp(), @lease)
ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, lease = excluded.lease
RETURNING heartbeat_at;

commit;

INSERT INTO partnersync.partner_state (partner) VALUES ($1)
ON CONFLICT DO NOTHING;

SELECT FROM partnersync.partner_state WHERE partner = $1 FOR UPDATE;

UPDATE partnersync.partner_state SET owner = NULL WHERE partner = $1 AND owner = $2::uuid;

WITH locked AS (
    SELECT customer_id
    FROM partnersync.customer_state
    WHERE partner = $1 AND owner = $2::uuid
    ORDER BY customer_id
    FOR UPDATE
)
UPDATE partnersync.customer_state s SET owner = NULL FROM locked WHERE s.customer_id = locked.customer_id;

UPDATE partnersync.runs r
SET state = 'abandoned', finished_at = clock_timestamp()
WHERE r.partner = $1 AND r.state = 'running'
  AND (r.kind <> 'scheduled' OR $2 = 'scheduled' AND r.scheduled_for < $3::timestamptz)
  AND NOT EXISTS (
      SELECT
      FROM partnersync.run_workers m
      JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
      WHERE m.run_id = r.run_id);

SELECT coalesce(max(run_id), 0)
FROM partnersync.runs
WHERE partner = $1 AND kind = $2 AND state = 'running';

SELECT coalesce((
    SELECT scheduled_for BETWEEN $1::timestamptz AND clock_timestamp() + interval '1 minute'
    FROM partnersync.runs
    WHERE partner = $2 AND kind = 'scheduled' AND state <> 'abandoned'
    ORDER BY run_id DESC
    LIMIT 1), false);

INSERT INTO partnersync.runs (partner, kind, filter, customers, scheduled_for, started_at)
VALUES (@partner, @kind, @filter, @customers::uuid[], @scheduled_for::timestamptz, clock_timestamp())
RETURNING run_id;

INSERT INTO partnersync.run_workers (run_id, worker_id) VALUES ($1, $2::uuid)
ON CONFLICT DO NOTHING;

SELECT run_id, partner, kind, scheduled_for, started_at, finished_at, state,
       customers_total, customers_ok, customers_failed, customers_deferred,
       inserted, changed, removed, unchanged, requests, retries, error
FROM partner_center.sync_runs
WHERE run_id = $1;

UPDATE partnersync.partner_state s
SET owner = $1::uuid, lease_epoch = s.lease_epoch + 1
FROM partnersync.runs r
WHERE s.partner = $2 AND r.run_id = $3 AND r.enumerated_at IS NULL
  AND (s.owner IS NULL OR s.owner = $1::uuid
       OR s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
RETURNING s.lease_epoch, clock_timestamp();

SELECT enumerated_at IS NOT NULL FROM partnersync.runs WHERE run_id = $1;

UPDATE partnersync.partner_state
SET owner           = NULL,
    observed_at     = greatest(@observed::timestamptz, observed_at + interval '1 microsecond'),
    observed_pages  = CASE WHEN @complete THEN greatest(@pages::integer, 1) ELSE 0 END,
    confirmed_at    = CASE WHEN observed_pages > 0 AND held_customers IS NULL THEN observed_at ELSE confirmed_at END,
    confirmed_pages = CASE WHEN observed_pages > 0 AND held_customers IS NULL THEN observed_pages ELSE confirmed_pages END
WHERE partner = @partner AND owner = @worker::uuid AND lease_epoch = @epoch
RETURNING observed_at, CASE WHEN held_run < @run THEN held_customers END, held_customers IS NOT NULL,
          confirmed_at, confirmed_pages;

SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
       coalesce(valid_from, first_seen_at) AS valid_from
FROM partner_center.customers
WHERE partner = @partner AND removed_at IS NULL
ORDER BY customers.customer_id;

SELECT FROM partnersync.customer_state WHERE customer_id = ANY (@ids::uuid[]) ORDER BY customer_id FOR UPDATE;

SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
       coalesce(valid_from, first_seen_at) AS valid_from
FROM partner_center.customers
WHERE customer_id = ANY (@ids::uuid[])
ORDER BY customers.customer_id
FOR NO KEY UPDATE;

INSERT INTO partner_center.customers (customer_id, partner, company_name, domain, relationship, first_seen_at)
SELECT i.customer_id, @partner::text, i.company_name, i.domain, i.relationship, @observed::timestamptz
FROM unnest(@ids::uuid[], @names::text[], @domains::text[], @relationships::text[])
     AS i (customer_id, company_name, domain, relationship)
ORDER BY i.customer_id
ON CONFLICT (customer_id) DO NOTHING;

SELECT customer_id::text, company_name, domain, relationship, partner, removed_at,
       coalesce(valid_from, first_seen_at) AS valid_from
FROM partner_center.customers
WHERE customer_id = ANY (@ids::uuid[]);

WITH moved AS (
    UPDATE partnersync.customer_state
    SET partner = $1, devices_refresh = NULL
    WHERE customer_id = ANY ($2::uuid[]) AND partner <> $1
    RETURNING customer_id
)
UPDATE partnersync.list_state l
SET digest = NULL, held = NULL, held_run = NULL
FROM moved
WHERE l.customer_id = moved.customer_id;

INSERT INTO partnersync.customer_runs (customer_id, kind, run_id, outcome, devices_left)
SELECT DISTINCT ON (t.customer_id, r.kind) t.customer_id, r.kind, r.run_id, 'failed', false
FROM partnersync.contested_customers t
JOIN partnersync.runs r ON r.partner = t.partner AND r.state = 'running' AND r.enumerated_at >= t.failing_since
WHERE t.partner = $1 AND t.customer_id = ANY ($2::uuid[]) AND r.run_id <> $3
  AND (r.customers IS NULL OR t.customer_id = ANY (r.customers))
ORDER BY t.customer_id, r.kind, r.run_id DESC
ON CONFLICT (customer_id, kind) DO UPDATE
SET run_id = excluded.run_id, outcome = excluded.outcome, devices_left = excluded.devices_left;

INSERT INTO partnersync.customer_state (customer_id, partner)
SELECT i.customer_id, $1::text
FROM unnest($2::uuid[]) AS i (customer_id)
ON CONFLICT (customer_id) DO UPDATE SET active = true;

WITH forgotten AS (
    DELETE FROM partnersync.contested_customers
    WHERE partner = $1 AND customer_id <> ALL ($2::uuid[])
      AND ($3 OR customer_id = ANY ($4::uuid[]))
    RETURNING customer_id
)
UPDATE partnersync.sync_failures f
SET failing_until = $5::timestamptz
FROM forgotten
WHERE f.customer_id = forgotten.customer_id AND f.partner = $1 AND f.failing_until IS NULL;

WITH contested AS (
    INSERT INTO partnersync.contested_customers AS t
        (customer_id, partner, company_name, last_attempt_at, failing_since, last_error)
    SELECT i.customer_id, $1::text, i.company_name, $2::timestamptz, $2::timestamptz, i.error
    FROM unnest($3::uuid[], $4::text[], $5::text[]) AS i (customer_id, company_name, error)
    ON CONFLICT (customer_id, partner) DO UPDATE
    SET company_name = excluded.company_name, last_attempt_at = excluded.last_attempt_at,
        last_error = excluded.last_error, consecutive_failures = t.consecutive_failures + 1
    RETURNING customer_id, partner, failing_since, last_error
)
INSERT INTO partnersync.sync_failures AS f (customer_id, partner, failing_since, error_code, error)
SELECT customer_id, partner, failing_since, 'customer_of_two_partners', last_error
FROM contested
ON CONFLICT (customer_id, partner) WHERE failing_until IS NULL DO UPDATE
SET passes = f.passes + 1, error = excluded.error;

UPDATE partnersync.runs
SET enumerated_at = clock_timestamp(), error = nullif($1, ''),
    customers_total = $2::integer + (
        SELECT count(*)
        FROM partnersync.customer_state s
        LEFT JOIN partnersync.customer_runs r ON r.customer_id = s.customer_id AND r.kind = $3
        WHERE s.partner = $4 AND s.active
          AND ($5::uuid[] IS NULL OR s.customer_id = ANY ($5::uuid[]))
          AND ($6::uuid[] IS NULL OR s.customer_id <> ALL ($6::uuid[]))
          AND (coalesce(r.run_id, 0) < $7 OR $3 = 'backfill' AND r.run_id <> $7))
WHERE run_id = $7;

BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE;
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT set_config(name, value, true)
FROM (VALUES
    ('idle_in_transaction_session_timeout', '20000'), ('statement_timeout', '300000'), ('lock_timeout', '0'),
    ('plan_cache_mode', 'auto'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1')
) AS setting (name, value);
-- PostgreSQL 17 and newer have it.
SELECT set_config('transaction_timeout', '0', true) WHERE current_setting('transaction_timeout', true) IS NOT NULL;

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
  AND (coalesce(r.run_id, 0) < @run OR @kind = 'backfill' AND r.run_id <> @run
       OR r.run_id = @run AND (r.devices_left AND @devices
                               OR @policies AND r.outcome = 'ok' AND p.last_run IS DISTINCT FROM @run));

SELECT s.customer_id::text
FROM partnersync.customer_state s
WHERE s.customer_id = ANY (@ids::uuid[]) AND s.partner = @partner AND s.active
  AND (s.owner IS NULL OR s.owner <> @worker::uuid
                          AND s.owner NOT IN (SELECT worker_id FROM partnersync.live_workers))
  AND EXISTS (SELECT FROM partnersync.runs WHERE run_id = @run AND state = 'running')
ORDER BY s.customer_id
FOR UPDATE OF s SKIP LOCKED;

UPDATE partnersync.customer_state
SET owner = $1::uuid, lease_epoch = lease_epoch + 1
WHERE customer_id = ANY ($2::uuid[]);

SELECT s.customer_id::text, s.lease_epoch,
       CASE WHEN coalesce(r.run_id, 0) < $1 OR $2 = 'backfill' AND r.run_id <> $1 THEN 1
            WHEN r.run_id > $1 THEN 0
            WHEN r.devices_left AND $3 THEN 2
            WHEN $4 AND r.outcome = 'ok' AND p.last_run IS DISTINCT FROM $1 THEN 3
            ELSE 0 END AS turn,
       greatest(s.last_attempt_at, s.last_success_at) AS read_at, s.last_success_at,
       s.unfinished_at, s.changed_at, s.consecutive_failures AS failures, s.reread, s.lists_due,
       s.lists_failing - s.lists_refused AS lists_failing,
       coalesce(r.run_id = $1 AND r.outcome = 'failed', false) AS failed,
       coalesce($3 AND (s.devices_refresh IS DISTINCT FROM $5::interval
                              OR s.devices_due_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + 1.25 * $5::interval
                              OR $2 = 'backfill' AND s.devices_due_at IS NOT NULL), false) AS devices_due,
       b.digest AS batches_digest, p.digest AS policies_digest, p.confirmed_at AS policies_at,
       p.stale_at AS policies_stale_at, clock_timestamp() AS now
FROM unnest($6::uuid[]) WITH ORDINALITY AS i (customer_id, position)
JOIN partnersync.customer_state s ON s.customer_id = i.customer_id
LEFT JOIN partnersync.customer_runs r ON r.customer_id = i.customer_id AND r.kind = $2
LEFT JOIN partnersync.list_state b
       ON b.customer_id = i.customer_id AND b.resource = 'device_batches' AND b.batch_id = ''
LEFT JOIN partnersync.list_state p
       ON p.customer_id = i.customer_id AND p.resource = 'configuration_policies' AND p.batch_id = ''
WHERE i.customer_id = ANY ($7::uuid[])
ORDER BY i.position;

SELECT observed_at, confirmed_at, confirmed_pages, CASE WHEN held_run < $1 THEN held END,
       last_run IS NOT DISTINCT FROM $1
FROM partnersync.list_state
WHERE customer_id = $2::uuid AND resource = $3 AND batch_id = $4;

SELECT batch_id, status, created_by, creation_date, devices_count, extra, removed_at
FROM partner_center.device_batches
WHERE customer_id = $1::uuid;

SELECT policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, removed_at
FROM partner_center.configuration_policies
WHERE customer_id = $1::uuid;

SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, removed_at
FROM partner_center.devices
WHERE customer_id = $1::uuid AND batch_id = $2::text;

UPDATE partnersync.customer_state
SET last_attempt_at = clock_timestamp()
WHERE customer_id = $1::uuid AND owner = $2::uuid AND lease_epoch = $3;

SELECT true
FROM partner_center.customers
WHERE customer_id = $1::uuid
  AND ($2 = 'device_batches' AND first_listed_at IS NULL OR $2 = 'devices' AND devices_first_listed_at IS NULL);

SELECT pg_advisory_xact_lock(hashtextextended('partnersync: merges of customer ' || $1, 0))
FROM (SELECT count(*) FROM (
    SELECT FROM partner_center.device_batches WHERE customer_id = $1::uuid LIMIT 1) b) n;

INSERT INTO partner_center.device_batches (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from)
SELECT $1::uuid, batch_id, status, created_by, creation_date, devices_count, extra, $2::timestamptz
FROM (
    SELECT unnest($3::text[]) AS batch_id,
           unnest($4::text[]) AS status,
           unnest($5::text[]) AS created_by,
           unnest($6::timestamptz[]) AS creation_date,
           unnest($7::integer[]) AS devices_count,
           unnest($8::jsonb[]) AS extra
) i;

INSERT INTO partnersync.list_state AS l (
    customer_id, resource, batch_id, observed_at, confirmed_at, first_confirmed_at, confirmed_pages, digest, rows, held,
    held_run, batch_status, batch_devices_count, stale_at, last_run)
VALUES (
    $1::uuid, $2, $3, $4, $5, $5, $6, $7, $8, $9,
    CASE WHEN $9::text[] IS NOT NULL THEN $10::bigint END, $11, $12,
    CASE WHEN $13 THEN $4::timestamptz END, $10::bigint)
ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET
    observed_at         = excluded.observed_at,
    confirmed_at        = coalesce(excluded.confirmed_at, l.confirmed_at),
    first_confirmed_at  = coalesce(l.first_confirmed_at, excluded.confirmed_at),
    confirmed_pages     = CASE WHEN excluded.confirmed_at IS NULL THEN l.confirmed_pages ELSE excluded.confirmed_pages END,
    digest              = excluded.digest,
    rows                = excluded.rows,
    held                = CASE WHEN $14 THEN excluded.held ELSE l.held END,
    held_run            = CASE WHEN $14 THEN excluded.held_run ELSE l.held_run END,
    batch_status        = CASE WHEN $13 THEN l.batch_status ELSE excluded.batch_status END,
    batch_devices_count = CASE WHEN $13 THEN l.batch_devices_count ELSE excluded.batch_devices_count END,
    stale_at            = excluded.stale_at,
    refusals            = 0,
    error               = NULL,
    last_run            = excluded.last_run;

UPDATE partner_center.customers
SET first_listed_at         = CASE WHEN $1 = 'device_batches' THEN $2::timestamptz
                                   ELSE first_listed_at END,
    devices_first_listed_at = CASE WHEN $1 = 'devices' THEN $2::timestamptz
                                   ELSE devices_first_listed_at END
WHERE customer_id = $3::uuid;

INSERT INTO partnersync.list_state AS l (customer_id, resource, batch_id, received_id)
SELECT @customer_id::uuid, 'devices', i.batch_id, i.received_id
FROM unnest(@batch_ids::text[], @received_ids::bytea[]) AS i (batch_id, received_id)
ON CONFLICT (customer_id, resource, batch_id) DO UPDATE SET received_id = excluded.received_id
WHERE l.received_id IS DISTINCT FROM excluded.received_id;

UPDATE partnersync.customer_state
SET devices_due_at  = CASE WHEN @none THEN NULL ELSE least(devices_due_at, @at::timestamptz) END,
    devices_refresh = CASE WHEN @none THEN coalesce(@refresh::interval, devices_refresh) ELSE devices_refresh END,
    changed_at      = CASE WHEN @changed THEN @at::timestamptz ELSE changed_at END,
    unfinished_at   = @unfinished_at::timestamptz
WHERE customer_id = @customer_id::uuid;

INSERT INTO partnersync.run_counts AS n (
    run_id, shard, customers_ok, customers_failed, inserted, changed, removed, unchanged, requests, retries)
SELECT run_id, $1::smallint, $2::integer, $3::integer, $4::bigint,
       $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint
FROM partnersync.runs
WHERE run_id = $10
ON CONFLICT (run_id, shard) DO UPDATE SET
    customers_ok     = n.customers_ok + excluded.customers_ok,
    customers_failed = n.customers_failed + excluded.customers_failed,
    inserted         = n.inserted + excluded.inserted,
    changed          = n.changed + excluded.changed,
    removed          = n.removed + excluded.removed,
    unchanged        = n.unchanged + excluded.unchanged,
    requests         = n.requests + excluded.requests,
    retries          = n.retries + excluded.retries;

INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from)
SELECT $1::uuid, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, $2::timestamptz
FROM (
    SELECT $3::text AS policy_id,
           $4::text AS name,
           $5::text AS category,
           $6::text AS description,
           $7::integer AS devices_assigned_count,
           $8::text[] AS policy_settings,
           $9::timestamptz AS created_date,
           $10::timestamptz AS last_modified_date,
           $11::jsonb AS extra
) i;

WITH locked AS (
    SELECT customer_id
    FROM partnersync.customer_state
    WHERE customer_id = ANY (@ids::uuid[]) AND owner = @worker::uuid
    ORDER BY customer_id
    FOR UPDATE
)
UPDATE partnersync.customer_state s
SET owner                = NULL,
    last_attempt_at      = CASE WHEN r.succeeded OR r.deferred THEN s.last_attempt_at ELSE r.now END,
    last_success_at      = CASE WHEN r.succeeded THEN r.now ELSE s.last_success_at END,
    reread               = r.reread,
    consecutive_failures = CASE WHEN r.failed THEN s.consecutive_failures + 1
                                WHEN r.recovered THEN 0 ELSE s.consecutive_failures END,
    failing_since        = CASE WHEN r.failed THEN coalesce(s.failing_since, r.now)
                                WHEN NOT r.recovered THEN s.failing_since END,
    last_error_code      = CASE WHEN r.failed OR r.recovered THEN r.code ELSE s.last_error_code END,
    last_error           = CASE WHEN r.failed OR r.recovered THEN r.message ELSE s.last_error END,
    last_request_id      = CASE WHEN r.failed OR r.recovered THEN r.request_id ELSE s.last_request_id END,
    last_correlation_id  = CASE WHEN r.failed OR r.recovered THEN r.correlation_id ELSE s.last_correlation_id END
FROM locked
JOIN (
    SELECT unnest(@ids::uuid[]) AS customer_id, unnest(@epochs::bigint[]) AS epoch,
           unnest(@succeeded::boolean[]) AS succeeded, unnest(@failed::boolean[]) AS failed,
           unnest(@recovered::boolean[]) AS recovered, unnest(@deferred::boolean[]) AS deferred,
           unnest(@reread::boolean[]) AS reread,
           nullif(unnest(@codes::text[]), '') AS code, nullif(unnest(@messages::text[]), '') AS message,
           nullif(unnest(@request_ids::text[]), '') AS request_id,
           nullif(unnest(@correlation_ids::text[]), '') AS correlation_id,
           clock_timestamp() AS now
) r ON r.customer_id = locked.customer_id
WHERE s.customer_id = locked.customer_id AND s.owner = @worker::uuid AND s.lease_epoch = r.epoch
RETURNING s.customer_id::text, s.lease_epoch;

INSERT INTO partnersync.customer_runs (customer_id, kind, run_id, outcome, devices_left)
SELECT r.customer_id, $1, $2, CASE WHEN r.failed THEN 'failed' ELSE 'ok' END, r.devices_left
FROM unnest($3::uuid[], $4::boolean[], $5::boolean[]) AS r (customer_id, failed, devices_left)
ON CONFLICT (customer_id, kind) DO UPDATE
SET run_id = excluded.run_id, outcome = excluded.outcome, devices_left = excluded.devices_left;

SELECT state = 'running' FROM partnersync.runs WHERE run_id = @run FOR SHARE;

SELECT clock_timestamp();

SELECT batch_id, received_id, digest, confirmed_at, stale_at, refusals, error IS NOT NULL AS failing,
       coalesce(last_run, 0) AS last_run, batch_status, batch_devices_count
FROM partnersync.list_state
WHERE customer_id = $1::uuid AND resource = 'devices';

SELECT b.batch_id, b.status, b.devices_count, b.creation_date, b.valid_from,
       coalesce(v.first_seen_at, b.valid_from) AS first_seen_at
FROM partner_center.device_batches b
LEFT JOIN (
    SELECT batch_id, min(valid_from) AS first_seen_at
    FROM partner_center.device_batch_versions
    WHERE customer_id = $1::uuid
    GROUP BY batch_id
) v ON v.batch_id = b.batch_id
WHERE b.customer_id = $1::uuid AND b.removed_at IS NULL;

INSERT INTO partner_center.devices (customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from)
SELECT $1::uuid, $2::text, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, $3::timestamptz
FROM (
    SELECT unnest($4::text[]) AS device_id,
           unnest($5::text[]) AS serial_number,
           unnest($6::text[]) AS product_key,
           unnest($7::text[]) AS hardware_hash,
           unnest($8::text[]) AS model_name,
           unnest($9::text[]) AS oem_manufacturer_name,
           unnest($10::text[]) AS uploaded_by,
           unnest($11::timestamptz[]) AS uploaded_date,
           unnest($12::jsonb[]) AS policies,
           unnest($13::jsonb[]) AS extra
) i;

UPDATE partnersync.customer_state
SET devices_due_at = @due_at, devices_refresh = @refresh, lists_due = @lists_due,
    lists_failing = @failing, lists_refused = @lists_refused
WHERE customer_id = @customer_id::uuid;

SELECT FROM partnersync.runs WHERE run_id = $1 FOR UPDATE;

UPDATE partnersync.runs r
SET finished_at = clock_timestamp(),
    customers_total = n.ok + n.failed + d.deferred,
    read_all_customers = $1::uuid[] IS NULL AND $2::uuid[] IS NULL AND d.deferred = 0,
    state = CASE WHEN n.ok = 0 AND n.failed > 0 OR n.ok + n.failed + d.deferred = 0 THEN 'failed'
                 WHEN n.failed > 0 OR r.error IS NOT NULL THEN 'partial'
                 ELSE 'complete' END
FROM (
    SELECT coalesce(sum(customers_ok), 0) AS ok, coalesce(sum(customers_failed), 0) AS failed
    FROM partnersync.run_counts
    WHERE run_id = $3
) n, (
    SELECT count(*) FILTER (WHERE untried) AS deferred, count(*) AS remaining, count(*) FILTER (WHERE held) AS held
    FROM (
        SELECT coalesce(c.run_id, 0) < $3 OR $4 = 'backfill' AND c.run_id <> $3 AS untried,
               s.owner IN (SELECT worker_id FROM partnersync.live_workers) AS held
        FROM partnersync.customer_state s
        LEFT JOIN partnersync.customer_runs c ON c.customer_id = s.customer_id AND c.kind = $4
        WHERE s.partner = $5 AND s.active
          AND ($1::uuid[] IS NULL OR s.customer_id = ANY ($1::uuid[]))
          AND ($2::uuid[] IS NULL OR s.customer_id <> ALL ($2::uuid[]))
          AND (coalesce(c.run_id, 0) < $3 OR $4 = 'backfill' AND c.run_id <> $3
               OR c.run_id = $3 AND c.devices_left
                  AND ($6 OR s.owner IN (SELECT worker_id FROM partnersync.live_workers)))
    ) c
) d
WHERE r.run_id = $3 AND r.state = 'running' AND r.enumerated_at IS NOT NULL
  AND (d.remaining = 0 OR $7 = 1 AND d.held = 0 OR $7 = 2);

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
WHERE f.partner = @partner;

UPDATE partnersync.partner_state SET next_tick = @tick, urgent_round = @urgent_round, round = @round
WHERE partner = @partner;

INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at, $1::timestamptz
FROM partner_center.device_batches
WHERE customer_id = $2::uuid AND batch_id = ANY ($3::text[]);

UPDATE partner_center.device_batches k
SET status = i.status,
    created_by = i.created_by,
    creation_date = i.creation_date,
    devices_count = i.devices_count,
    extra = i.extra,
    not_before = greatest(CASE WHEN k.removed_at IS NULL OR $1 THEN $2::timestamptz END, k.valid_from),
    valid_from = $3::timestamptz,
    removed_at = NULL
FROM (
    SELECT unnest($4::text[]) AS batch_id,
           unnest($5::text[]) AS status,
           unnest($6::text[]) AS created_by,
           unnest($7::timestamptz[]) AS creation_date,
           unnest($8::integer[]) AS devices_count,
           unnest($9::jsonb[]) AS extra
) i
WHERE customer_id = $10::uuid AND k.batch_id = i.batch_id;

UPDATE partner_center.device_batches k
SET extra = i.extra
FROM (
    SELECT unnest($1::text[]) AS batch_id,
           unnest($2::text[]) AS status,
           unnest($3::text[]) AS created_by,
           unnest($4::timestamptz[]) AS creation_date,
           unnest($5::integer[]) AS devices_count,
           unnest($6::jsonb[]) AS extra
) i
WHERE customer_id = $7::uuid AND k.batch_id = i.batch_id;

SELECT max(valid_from)
FROM partner_center.device_batches
WHERE customer_id = @customer_id::uuid AND removed_at IS NULL
  AND NOT partner_center.is_finished(status);

INSERT INTO partner_center.configuration_policy_versions (customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from, not_before, removed_at, $1::timestamptz
FROM partner_center.configuration_policies
WHERE customer_id = $2::uuid AND policy_id = ANY ($3::text[]);

UPDATE partner_center.configuration_policies k
SET not_before = greatest($1::timestamptz, k.valid_from),
    valid_from = $2::timestamptz,
    removed_at = $2::timestamptz
WHERE customer_id = $3::uuid AND k.policy_id = ANY ($4::text[]);

UPDATE partner_center.configuration_policies k
SET name = i.name,
    category = i.category,
    description = i.description,
    devices_assigned_count = i.devices_assigned_count,
    policy_settings = i.policy_settings,
    created_date = i.created_date,
    last_modified_date = i.last_modified_date,
    extra = i.extra,
    not_before = greatest(CASE WHEN k.removed_at IS NULL OR $1 THEN $2::timestamptz END, k.valid_from),
    valid_from = $3::timestamptz,
    removed_at = NULL
FROM (
    SELECT $4::text AS policy_id,
           $5::text AS name,
           $6::text AS category,
           $7::text AS description,
           $8::integer AS devices_assigned_count,
           $9::text[] AS policy_settings,
           $10::timestamptz AS created_date,
           $11::timestamptz AS last_modified_date,
           $12::jsonb AS extra
) i
WHERE customer_id = $13::uuid AND k.policy_id = i.policy_id;

UPDATE partnersync.customer_state SET changed_at = @at::timestamptz WHERE customer_id = @customer_id::uuid;

INSERT INTO partner_center.device_versions (customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, $1::timestamptz
FROM partner_center.devices
WHERE customer_id = $2::uuid AND batch_id = $3::text AND device_id = ANY ($4::text[]);

UPDATE partner_center.devices k
SET not_before = greatest($1::timestamptz, k.valid_from),
    valid_from = $2::timestamptz,
    removed_at = $2::timestamptz
WHERE customer_id = $3::uuid AND batch_id = $4::text AND k.device_id = ANY ($5::text[]);

UPDATE partner_center.devices k
SET serial_number = i.serial_number,
    product_key = i.product_key,
    hardware_hash = i.hardware_hash,
    model_name = i.model_name,
    oem_manufacturer_name = i.oem_manufacturer_name,
    uploaded_by = i.uploaded_by,
    uploaded_date = i.uploaded_date,
    policies = i.policies,
    extra = i.extra,
    not_before = greatest(CASE WHEN k.removed_at IS NULL OR $1 THEN $2::timestamptz END, k.valid_from),
    valid_from = $3::timestamptz,
    removed_at = NULL
FROM (
    SELECT unnest($4::text[]) AS device_id,
           unnest($5::text[]) AS serial_number,
           unnest($6::text[]) AS product_key,
           unnest($7::text[]) AS hardware_hash,
           unnest($8::text[]) AS model_name,
           unnest($9::text[]) AS oem_manufacturer_name,
           unnest($10::text[]) AS uploaded_by,
           unnest($11::timestamptz[]) AS uploaded_date,
           unnest($12::jsonb[]) AS policies,
           unnest($13::jsonb[]) AS extra
) i
WHERE customer_id = $14::uuid AND batch_id = $15::text AND k.device_id = i.device_id;

INSERT INTO partnersync.partner_pauses AS p (partner, paused_until)
VALUES (@partner, clock_timestamp() + @pause::interval)
ON CONFLICT (partner) DO UPDATE
SET paused_until = least(greatest(p.paused_until, excluded.paused_until), clock_timestamp() + @longest::interval);

SELECT (
           SELECT count(DISTINCT m.worker_id)
           FROM partnersync.runs r
           JOIN partnersync.run_workers m ON m.run_id = r.run_id
           JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
           WHERE r.partner = @partner AND r.state = 'running'
       ) AS workers,
       greatest(coalesce((
           SELECT paused_until - clock_timestamp() FROM partnersync.partner_pauses WHERE partner = @partner
       ), '0'), '0') AS pause;

SELECT batch_id, device_id
FROM partner_center.devices
WHERE customer_id = @customer_id::uuid AND batch_id = ANY (@removed::text[]) AND removed_at IS NULL
ORDER BY batch_id, device_id;

UPDATE partner_center.device_batches k
SET not_before = greatest($1::timestamptz, k.valid_from),
    valid_from = $2::timestamptz,
    removed_at = $2::timestamptz
WHERE customer_id = $3::uuid AND k.batch_id = ANY ($4::text[]);

UPDATE partnersync.list_state l
SET digest = NULL, held = NULL, held_run = NULL, stale_at = @at::timestamptz, refusals = 0, error = NULL,
    confirmed_at = NULL,
    observed_at = greatest((l.observed_at AT TIME ZONE 'UTC' + interval '1 microsecond') AT TIME ZONE 'UTC', @at::timestamptz)
FROM partnersync.list_state before
WHERE l.customer_id = @customer_id::uuid AND l.resource = 'devices' AND l.batch_id = ANY (@batch_ids::text[])
  AND before.customer_id = l.customer_id AND before.resource = l.resource AND before.batch_id = l.batch_id
RETURNING l.batch_id, before.confirmed_at, l.observed_at;

INSERT INTO partner_center.device_versions (
    customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
    oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, valid_to)
SELECT d.customer_id, d.batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
       oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at,
       l.observed_at
FROM partner_center.devices d
JOIN unnest(@batch_ids::text[], @observed::timestamptz[]) AS l (batch_id, observed_at) ON l.batch_id = d.batch_id
WHERE d.customer_id = @customer_id::uuid AND d.removed_at IS NULL;

UPDATE partner_center.devices d
SET not_before = greatest(l.confirmed_at, d.valid_from), valid_from = l.observed_at, removed_at = l.observed_at
FROM unnest(@batch_ids::text[], @confirmed::timestamptz[], @observed::timestamptz[])
     AS l (batch_id, confirmed_at, observed_at)
WHERE d.customer_id = @customer_id::uuid AND d.batch_id = l.batch_id AND d.removed_at IS NULL;

WITH going_on AS (
    UPDATE partnersync.sync_failures
    SET failing_until = NULL, recovered_run = NULL
    WHERE customer_id = ANY ($1::uuid[]) AND partner = $2 AND recovered_run = $3
    RETURNING customer_id, failing_since
)
UPDATE partnersync.customer_state s
SET failing_since = f.failing_since
FROM going_on f
WHERE s.customer_id = f.customer_id;

INSERT INTO partnersync.sync_failures AS f (
    customer_id, partner, failing_since, last_success_at, error_code, error, first_request_id, last_request_id)
SELECT s.customer_id, s.partner, greatest(s.last_attempt_at, s.last_success_at), r.last_success_at,
       s.last_error_code, s.last_error, s.last_request_id, s.last_request_id
FROM unnest($1::uuid[], $2::timestamptz[]) AS r (customer_id, last_success_at)
JOIN partnersync.customer_state s ON s.customer_id = r.customer_id
ON CONFLICT (customer_id, partner) WHERE failing_until IS NULL DO UPDATE
SET passes = f.passes + 1, error_code = excluded.error_code, error = excluded.error,
    last_request_id = excluded.last_request_id;

INSERT INTO partnersync.list_state AS l (customer_id, resource, batch_id, stale_at, last_run, refusals, error)
SELECT @customer_id::uuid, i.resource, i.batch_id, clock_timestamp(), @run, i.refused::integer, nullif(i.error, '')
FROM unnest(@resources::text[], @batch_ids::text[], @refused::boolean[], @errors::text[])
     AS i (resource, batch_id, refused, error)
ON CONFLICT (customer_id, resource, batch_id) DO UPDATE
SET stale_at = excluded.stale_at, last_run = excluded.last_run, error = excluded.error,
    refusals = CASE WHEN excluded.refusals > 0 THEN l.refusals + 1 ELSE 0 END;

UPDATE partnersync.runs r
SET state = 'running', finished_at = NULL
FROM (
    SELECT run_id, state
    FROM partnersync.runs
    WHERE partner = @partner AND kind = 'backfill' AND filter = @filter
    ORDER BY run_id DESC
    LIMIT 1
) newest
WHERE r.run_id = newest.run_id AND newest.state IN ('running', 'abandoned')
  AND r.started_at BETWEEN clock_timestamp() - @resumable::interval AND clock_timestamp() + @resumable::interval
RETURNING r.run_id, newest.state = 'abandoned';

UPDATE partnersync.sync_failures f
SET failing_until = greatest(s.last_attempt_at, s.last_success_at), recovered_run = @run
FROM partnersync.customer_state s
WHERE s.customer_id = ANY (@ids::uuid[])
  AND f.customer_id = s.customer_id AND f.partner = s.partner AND f.failing_until IS NULL;

rollback;

UPDATE partnersync.runs SET state = 'abandoned', finished_at = clock_timestamp() WHERE partner = $1 AND kind = $2 AND state = 'running';

INSERT INTO partner_center.customer_versions (
    customer_id, partner, company_name, domain, relationship, valid_from, not_before, removed_at, valid_to)
SELECT c.customer_id, c.partner, c.company_name, c.domain, c.relationship, coalesce(c.valid_from, c.first_seen_at),
       c.not_before, c.removed_at, i.valid_to
FROM partner_center.customers c
JOIN unnest($1::uuid[], $2::timestamptz[]) AS i (customer_id, valid_to) ON i.customer_id = c.customer_id;

UPDATE partner_center.customers c
SET partner      = $1,
    company_name = i.company_name,
    domain       = i.domain,
    relationship = i.relationship,
    valid_from   = i.valid_from,
    not_before   = i.not_before,
    removed_at   = i.removed_at
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[],
            $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
     AS i (customer_id, company_name, domain, relationship, valid_from, not_before, removed_at)
WHERE c.customer_id = i.customer_id;

UPDATE partnersync.customer_state
SET active = false, owner = NULL, lease_epoch = lease_epoch + 1, consecutive_failures = 0, failing_since = NULL,
    last_error_code = NULL, last_error = NULL, last_request_id = NULL, last_correlation_id = NULL
WHERE customer_id = ANY ($1::uuid[]);

UPDATE partnersync.sync_failures
SET failing_until = greatest(failing_since, $1::timestamptz)
WHERE customer_id = ANY ($2::uuid[]) AND partner = $3 AND failing_until IS NULL;

DELETE FROM partnersync.run_workers WHERE run_id = $1 AND worker_id = $2::uuid;

UPDATE partnersync.runs
SET state = 'abandoned', finished_at = clock_timestamp()
WHERE run_id = $1 AND state = 'running' AND NOT EXISTS (
    SELECT
    FROM partnersync.run_workers m
    JOIN partnersync.live_workers w ON w.worker_id = m.worker_id
    WHERE m.run_id = $1);

DELETE FROM partnersync.workers
WHERE worker_id = @worker::uuid
   OR worker_id IN (
       SELECT worker_id
       FROM partnersync.workers
       WHERE heartbeat_at NOT BETWEEN clock_timestamp() - 10 * lease AND clock_timestamp() + 10 * lease
       FOR UPDATE SKIP LOCKED);

