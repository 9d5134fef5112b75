-- Speed: how many batches of a customer had a status at the end of a day is how many of its versions had begun by then less how
-- many had ended. So the begins and the ends of a customer's versions in a status are gathered in a sorted array each, and a
-- day's number is found in both by halving. A join of days and versions would have a row for each day of each batch.

-- +goose Up
-- STRICT, so that it is not inlined and the planner believes ROWS: with thousands it would have the query compiled, which takes
-- seconds.
-- +goose StatementBegin
CREATE FUNCTION partner_center.days(first date, last date) RETURNS SETOF date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
RETURN first + generate_series(0, last - first);
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.days(date, date) IS 'The days from first to last, both included; none where last is earlier.';

-- How many listed devices the batches in a status had: totals[n] from days[n] on. What a batch's device list gained or lost by a
-- day counts for each status that the batch was in after that: from that day or from when the status began, until it ended.
-- The status stands in an array, since null = null is not true, but array[null] = array[null] is.
CREATE VIEW partnersync.devices_by_batch_status AS
SELECT customer_id, status, array_agg(day ORDER BY day) AS days, array_agg(total ORDER BY day) AS totals
FROM (
    SELECT m.customer_id, m.status, m.day,
           sum(sum(m.more)) OVER (PARTITION BY m.customer_id, m.status ORDER BY m.day)::bigint AS total
    FROM (
        SELECT b.customer_id, ARRAY[b.status COLLATE "C"] AS status, x.day, x.more
        FROM (
            SELECT customer_id, batch_id, status, (valid_from AT TIME ZONE 'UTC')::date AS begins,
                   coalesce((valid_to AT TIME ZONE 'UTC')::date, 'infinity') AS ends
            FROM partner_center.device_batch_history
            WHERE removed_at IS NULL
        ) b
        JOIN (
            SELECT e.customer_id, e.batch_id, e.day, sum(e.more) AS more
            FROM (
                SELECT customer_id, batch_id, (valid_from AT TIME ZONE 'UTC')::date AS day, 1 AS more
                FROM partner_center.device_history
                WHERE removed_at IS NULL
                UNION ALL
                SELECT customer_id, batch_id, (valid_to AT TIME ZONE 'UTC')::date, -1
                FROM partner_center.device_versions
                WHERE removed_at IS NULL
            ) e
            GROUP BY e.customer_id, e.batch_id, e.day
            HAVING sum(e.more) <> 0
        ) d ON d.customer_id = b.customer_id AND d.batch_id = b.batch_id AND d.day < b.ends
        CROSS JOIN LATERAL (VALUES (greatest(d.day, b.begins), d.more), (b.ends, -d.more)) x (day, more)
        WHERE b.begins < b.ends
    ) m
    GROUP BY m.customer_id, m.status, m.day
) t
GROUP BY customer_id, status;
COMMENT ON VIEW partnersync.devices_by_batch_status IS
    'How many listed devices a customer''s batches in a status had at the end of each day (UTC): what daily_device_batch_statuses looks up.';
COMMENT ON COLUMN partnersync.devices_by_batch_status.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partnersync.devices_by_batch_status.status IS 'The status, as the only element of an array.';
COMMENT ON COLUMN partnersync.devices_by_batch_status.days IS 'The days on which the number changed, in their order; infinity where it ends.';
COMMENT ON COLUMN partnersync.devices_by_batch_status.totals IS 'The number of devices at the end of each of these days, and until the next.';

CREATE VIEW partner_center.daily_device_batch_statuses AS
SELECT d.day, c.customer_id, s.status,
       (width_bucket(d.day, s.begins) - width_bucket(d.day, s.ends))::bigint AS batches,
       CASE WHEN (k.devices_first_listed_at AT TIME ZONE 'UTC')::date <= d.day
            THEN coalesce(n.totals[width_bucket(d.day, n.days)], 0)
            ELSE n.totals[width_bucket(d.day, n.days)] END AS devices
FROM partner_center.customer_history c
JOIN partner_center.customers k ON k.customer_id = c.customer_id
CROSS JOIN LATERAL partner_center.days(
    greatest((c.valid_from AT TIME ZONE 'UTC')::date, (k.pruned_before AT TIME ZONE 'UTC')::date),
    least((c.valid_to AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date)) d (day)
JOIN (
    SELECT customer_id, status COLLATE "C" AS status,
           array_agg((valid_from AT TIME ZONE 'UTC')::date ORDER BY valid_from)                       AS begins,
           array_agg(coalesce((valid_to AT TIME ZONE 'UTC')::date, 'infinity') ORDER BY valid_to) AS ends
    FROM partner_center.device_batch_history
    WHERE removed_at IS NULL
    GROUP BY customer_id, status COLLATE "C"
) s ON s.customer_id = c.customer_id
LEFT JOIN partnersync.devices_by_batch_status n ON n.customer_id = s.customer_id AND n.status = ARRAY[s.status]
WHERE c.removed_at IS NULL AND width_bucket(d.day, s.begins) > width_bucket(d.day, s.ends);
COMMENT ON VIEW partner_center.daily_device_batch_statuses IS
    'How many batches each customer had in each status at the end of each day (UTC), removed ones left out; today as it is now. A status that no batch was in has no row, and neither has a customer from the day on that it left until it returns. For a customer whose history was pruned there are no rows of days before customers.pruned_before (UTC).';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.day IS 'The day (UTC); from the first on that the customer was known, to today.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.status IS 'As in device_batches; null for batches without one.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.batches IS 'Number of batches; at least 1.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.devices IS
    'Number of devices listed in these batches (rows of devices, not devices_count); null before any device list of the customer was read. A query that does not ask for it is several times as fast.';

CREATE VIEW partner_center.daily_devices AS
SELECT day, customer_id, status AS batch_status, devices
FROM partner_center.daily_device_batch_statuses;
COMMENT ON VIEW partner_center.daily_devices IS
    'How many devices each customer had at the end of each day (UTC), by the status of their batch; today as it is now. Rows as in daily_device_batch_statuses.';
COMMENT ON COLUMN partner_center.daily_devices.day IS 'The day (UTC); from the first on that the customer was known, to today.';
COMMENT ON COLUMN partner_center.daily_devices.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.daily_devices.batch_status IS 'Status of the batches, as in device_batches; null for batches without one.';
COMMENT ON COLUMN partner_center.daily_devices.devices IS
    'Number of devices listed in batches of that status (rows of devices, not devices_count); null before any device list of the customer was read.';

-- +goose Down
DROP VIEW partner_center.daily_devices;
DROP VIEW partner_center.daily_device_batch_statuses;
DROP VIEW partnersync.devices_by_batch_status;
DROP FUNCTION partner_center.days(date, date);
