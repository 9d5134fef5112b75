-- Two years that end now: 1,000 customers, 100,000 batches of 10 versions, 1,000,000 devices, a fifth of them of 2 versions
-- and 20,000 in another batch since, 5,000 policies of 4, 70,000 runs, and 100 failures of each customer.
CREATE FUNCTION pg_temp.customer(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('customer ' || n)::uuid $$;

INSERT INTO partner_center.customers (customer_id, partner, company_name, first_seen_at, first_listed_at)
SELECT pg_temp.customer(c), 'contoso', 'Company ' || c, now() - interval '731 days', now() - interval '700 days' FROM generate_series(1, 1000) c;

INSERT INTO partnersync.customer_state (customer_id, partner, last_attempt_at, last_success_at)
SELECT pg_temp.customer(c), 'contoso', now(), now() FROM generate_series(1, 1000) c;

CREATE TABLE v AS
SELECT pg_temp.customer(b / 100 + 1) AS customer_id, 'Batch ' || b AS batch_id, b, valid_from,
       row_number() OVER (PARTITION BY b ORDER BY valid_from) - 1 AS n
FROM generate_series(0, 99999) b, generate_series(0, 9) k,
     LATERAL (SELECT now() - interval '730 days' * ((hashint8(b * 10 + k)::bigint & 1048575) / 1048576.0) - interval '1 microsecond' * k) t (valid_from);

CREATE TABLE w AS
SELECT customer_id, batch_id, b, n,
       CASE WHEN n = 9 AND b % 10 = 0 THEN 'processing'
            ELSE ('{queued,processing,processing,finished,finished,finished_with_errors,processing,processing,finished_with_errors,finished}'::text[])[n + 1] END AS status,
       'contoso' AS created_by, now() - interval '731 days' AS creation_date, 100 + n % 2 AS devices_count, valid_from,
       lag(valid_from) OVER p AS not_before,
       CASE WHEN n = 4 OR n = 9 AND b % 20 = 1 THEN valid_from END AS removed_at,
       lead(valid_from) OVER p AS valid_to
FROM v WINDOW p AS (PARTITION BY b ORDER BY n);

INSERT INTO partner_center.device_batch_versions
    (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, '{}', valid_from, not_before, removed_at, valid_to
FROM w WHERE valid_to > valid_from ORDER BY valid_to;
INSERT INTO partner_center.device_batches
    (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at)
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, '{}', valid_from, not_before, removed_at
FROM w WHERE valid_to IS NULL ORDER BY valid_from;

INSERT INTO partner_center.configuration_policy_versions
SELECT pg_temp.customer(p / 5 + 1), md5('policy ' || p)::uuid, 'Profile ' || p || ' v' || n, 'o_o_b_e', 'A profile', p, '{skip_eula}',
       now(), now(), '{}', now() - interval '180 days' * (4 - n), now() - interval '180 days' * (5 - n), NULL, now() - interval '180 days' * (3 - n)
FROM generate_series(0, 4999) p, generate_series(0, 2) n ORDER BY n;
INSERT INTO partner_center.configuration_policies
SELECT pg_temp.customer(p / 5 + 1), md5('policy ' || p)::uuid, 'Profile ' || p || ' v4', 'o_o_b_e', 'A profile', p, '{skip_eula}',
       now(), now(), '{}', now() - interval '180 days', now() - interval '360 days', NULL
FROM generate_series(0, 4999) p;

CREATE TABLE d AS
SELECT pg_temp.customer(d / 1000 + 1) AS customer_id, 'Batch ' || d / 10 AS batch_id, md5('device ' || d)::uuid::text AS device_id, d,
       d % 5 = 0 AS twice, 'policy ' || (d / 1000 * 5 + d % 5) AS policy,
       now() - interval '730 days' * (1 - (d / 10 % 1000) / 2000.0) AS first, now() - interval '730 days' * (d % 997) / 2000.0 AS second
FROM generate_series(0, 999999) d;
INSERT INTO partner_center.device_versions
SELECT customer_id, batch_id, device_id, '0000-' || d, NULL, NULL, 'Model', 'OEM', 'user', first,
       CASE d % 4 WHEN 0 THEN '[]'::jsonb WHEN 1 THEN '[{"key": "o_o_b_e", "value": null}]' ELSE jsonb_build_array(jsonb_build_object('key', 'o_o_b_e', 'value', md5(policy)::uuid)) END,
       '{}', first, NULL, NULL, second
FROM d WHERE twice ORDER BY second;
INSERT INTO partner_center.devices
SELECT customer_id, batch_id, device_id, '0000-' || d, NULL, NULL, 'Model', 'OEM', 'user', first,
       CASE d % 25 WHEN 0 THEN '[{"key": "o_o_b_e", "value": "A default profile"}]'::jsonb ELSE jsonb_build_array(jsonb_build_object('key', 'o_o_b_e', 'value', md5(policy)::uuid)) END,
       '{}', CASE WHEN twice THEN second ELSE first END, CASE WHEN twice THEN first END, CASE WHEN d % 25 = 10 THEN second WHEN d % 50 = 3 THEN first END
FROM d ORDER BY 13;
INSERT INTO partner_center.devices
SELECT pg_temp.customer((d / 10 + 1) % 100000 / 100 + 1), 'Batch ' || (d / 10 + 1) % 100000, md5('moved ' || d)::uuid::text, '0000-' || d,
       NULL, NULL, 'Model', 'OEM', 'user', first, '[]', '{}', second
FROM d WHERE d % 50 = 10 ORDER BY second;

INSERT INTO partnersync.list_state (customer_id, resource, batch_id, observed_at, confirmed_at, first_confirmed_at, rows)
SELECT customer_id, 'devices', batch_id, now(), now(), min(first), count(*) FROM d GROUP BY customer_id, batch_id;

INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, enumerated_at, finished_at, state, customers_total, read_all_customers)
SELECT 'contoso', 'scheduled', t, t, t, t, 'complete', 1000, true FROM generate_series(now() - interval '730 days', now(), interval '15 minutes') t;
INSERT INTO partnersync.run_counts (run_id, shard, customers_ok, unchanged, requests)
SELECT run_id, s, 60, 6000, 120 FROM partnersync.runs, generate_series(0, 15) s;
INSERT INTO partnersync.sync_failures (customer_id, partner, failing_since, failing_until, recovered_run, last_success_at, passes, error_code, error)
SELECT pg_temp.customer(c), 'contoso', now() - n * interval '7 days', now() - n * interval '7 days' + interval '3 days', 1, now() - n * interval '7 days' - interval '15 minutes',
       288, 'http_503', 'no answer'
FROM generate_series(1, 1000) c, generate_series(1, 100) n;
DROP TABLE v, w, d;
