-- Five years that end now: {customers}, which is replaced, of 200 batches of 20 devices each, and 5 policies. A batch was
-- queued, processing and finished; one in ten vanished and returned. A device was uploaded without a policy and was given
-- one; one in five, another later. Batches are those that the emulator of the benchmark serves.
CREATE FUNCTION pg_temp.customer(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.batch(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Sales laptops ' || lpad(n::text, 5, '0') $$;
-- When the n-th of the batches of all customers came: in the order of n, as the tables would have grown.
CREATE FUNCTION pg_temp.came(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT now() - interval '5 years' * (1 - n / ({customers} * 200.0)) - interval '3 hours' $$;
CREATE FUNCTION pg_temp.created(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT '2025-03-03 09:30:00+00'::timestamptz + n * interval '1 minute' $$;
CREATE FUNCTION pg_temp.policy(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT md5('policy ' || n)::uuid::text $$;
CREATE FUNCTION pg_temp.policies(n bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object('key', 'o_o_b_e', 'value', pg_temp.policy(n))) $$;

INSERT INTO partner_center.device_batch_versions
    (customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, not_before, removed_at, valid_to)
SELECT pg_temp.customer(g % {customers}), pg_temp.batch(g / {customers}), v.status, 'admin@relecloud.onmicrosoft.com',
       pg_temp.created(g / {customers}), 1 + g / {customers} % 60, t.came + v.since, t.came + v.before,
       CASE WHEN v.gone THEN t.came + v.since END, t.came + v.until
FROM generate_series(0, {customers} * 200 - 1) g, pg_temp.came(g) t (came),
     (VALUES ('queued', interval '0', NULL::interval, interval '15 minutes', false, 1),
             ('processing', '15 minutes', '0', '1 hour', false, 1),
             ('finished', '1 hour', '45 minutes', '2 hours', false, 10),
             ('finished', '2 hours', '105 minutes', '150 minutes', true, 10)) v (status, since, before, until, gone, each)
WHERE g % v.each = 0;

INSERT INTO partner_center.device_batches
    (customer_id, batch_id, status, created_by, creation_date, devices_count, valid_from, not_before)
SELECT pg_temp.customer(g % {customers}), pg_temp.batch(g / {customers}), 'finished', 'admin@relecloud.onmicrosoft.com',
       pg_temp.created(g / {customers}), 1 + g / {customers} % 60,
       t.came + CASE WHEN g % 10 = 0 THEN interval '150 minutes' ELSE interval '1 hour' END, t.came + interval '45 minutes'
FROM generate_series(0, {customers} * 200 - 1) g, pg_temp.came(g) t (came);

INSERT INTO partner_center.device_versions
    (customer_id, batch_id, device_id, serial_number, product_key, model_name, oem_manufacturer_name, uploaded_date,
     policies, valid_from, not_before, valid_to)
SELECT pg_temp.customer(g % {customers}), pg_temp.batch(g / {customers}), md5(g || ' ' || d)::uuid::text, '2R9-ZNP' || g || d,
       '00329-00000-' || lpad(g::text, 8, '0') || '-AA882', 'Latitude 7450', 'Dell Inc.', pg_temp.created(g / {customers}),
       CASE v.n WHEN 0 THEN '[{"key": "o_o_b_e", "value": null}]' ELSE pg_temp.policies(g % {customers}) END,
       t.came + v.since, t.came + v.before, t.came + v.until
FROM generate_series(0, {customers} * 200 - 1) g, generate_series(0, 19) d, pg_temp.came(g) t (came),
     (VALUES (0, interval '0', NULL::interval, interval '1 hour', 1),
             (1, '1 hour', '45 minutes', '90 minutes', 5)) v (n, since, before, until, each)
WHERE d % v.each = 0;

INSERT INTO partner_center.devices
    (customer_id, batch_id, device_id, serial_number, product_key, model_name, oem_manufacturer_name, uploaded_date,
     policies, valid_from, not_before)
SELECT pg_temp.customer(g % {customers}), pg_temp.batch(g / {customers}), md5(g || ' ' || d)::uuid::text, '2R9-ZNP' || g || d,
       '00329-00000-' || lpad(g::text, 8, '0') || '-AA882', 'Latitude 7450', 'Dell Inc.', pg_temp.created(g / {customers}),
       pg_temp.policies(g % {customers} + d % 5), t.came + CASE WHEN d % 5 = 0 THEN interval '90 minutes' ELSE interval '1 hour' END,
       t.came + interval '45 minutes'
FROM generate_series(0, {customers} * 200 - 1) g, generate_series(0, 19) d, pg_temp.came(g) t (came);

INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, category, devices_assigned_count, valid_from)
SELECT pg_temp.customer(c), pg_temp.policy(c + n), 'Sales laptops ' || n, 'o_o_b_e', 800, now() - interval '5 years'
FROM generate_series(0, {customers} - 1) c, generate_series(0, 4) n;

-- The device lists were read a moment ago, so that none is due.
INSERT INTO partnersync.list_state
    (customer_id, resource, batch_id, digest, observed_at, confirmed_at, rows, batch_status, batch_devices_count)
SELECT customer_id, 'devices', batch_id, sha256(batch_id::bytea), now(), now(), 20, status, devices_count
FROM partner_center.device_batches;

INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, enumerated_at, finished_at, state, customers_total)
SELECT 'contoso', 'scheduled', t, t, t, t, 'complete', {customers}
FROM generate_series(now() - interval '5 years', now(), interval '15 minutes') t;
INSERT INTO partnersync.run_counts (run_id, shard, customers_ok, unchanged, requests)
SELECT run_id, 0, {customers}, {customers} * 200, {customers} * 2 FROM partnersync.runs;
