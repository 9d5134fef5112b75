-- 20,000 customers with 50 batches each, every one of which has a version before its current one; of two months, and one
-- batch in twenty is unfinished. A day of passes each quarter of an hour.
INSERT INTO partner_center.customers (customer_id, partner, company_name, domain, first_seen_at)
SELECT md5('customer ' || c)::uuid, 'contoso', 'Company ' || c, 'company' || c || '.example.com', now() - interval '60 days'
FROM generate_series(1, 20000) c;

INSERT INTO partnersync.customer_state (customer_id, partner, last_attempt_at, last_success_at, consecutive_failures, failing_since,
    last_error_code, last_error)
SELECT md5('customer ' || c)::uuid, 'contoso', now(), now() - interval '1 second' * (c % 900), CASE WHEN c % 100 = 0 THEN 3 ELSE 0 END,
       CASE WHEN c % 100 = 0 THEN now() - interval '1 hour' END, CASE WHEN c % 100 = 0 THEN '20002' END,
       CASE WHEN c % 100 = 0 THEN 'listing device batches: 403 Forbidden' END
FROM generate_series(1, 20000) c;

CREATE TABLE v AS
SELECT md5('customer ' || 1 + b / 50)::uuid AS customer_id, 'Batch ' || b AS batch_id, b,
       now() - interval '60 days' * ((hashint4(b)::bigint & 1048575) / 1048576.0) AS changed
FROM generate_series(0, 999999) b;
INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, valid_to)
SELECT customer_id, batch_id, 'processing', 'contoso', changed - interval '1 day', 100, changed - interval '7 hours', changed FROM v ORDER BY changed;
INSERT INTO partner_center.device_batches (customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, not_before)
SELECT customer_id, batch_id, CASE WHEN b % 20 = 0 THEN 'queued' WHEN b % 20 = 1 THEN 'finished_with_errors' ELSE 'finished' END, 'contoso',
       changed - interval '1 day', 100, changed, changed - interval '7 hours'
FROM v ORDER BY customer_id, batch_id;
DROP TABLE v;

INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, enumerated_at, finished_at, state, customers_total)
SELECT 'contoso', 'scheduled', t, t, t, t, 'partial', 20000 FROM generate_series(now() - interval '60 days', now(), interval '15 minutes') t;
INSERT INTO partnersync.run_counts (run_id, shard, customers_ok, unchanged, requests)
SELECT run_id, s, 1237, 62500, 2500 FROM partnersync.runs, generate_series(0, 15) s;
INSERT INTO partnersync.partner_state (partner) VALUES ('contoso');
