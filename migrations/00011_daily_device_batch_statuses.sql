-- Speed: how many batches of a customer had a status at the end of a day is how many of its versions had begun by then less
-- how many had ended. So the begins and ends of a customer's versions in a status are gathered in a sorted array each, and
-- a day's number is found in both by halving. The whole history costs one sort, and a few days cost the versions that
-- were there then: those that end later, by an index.

-- +goose Up
CREATE INDEX device_batch_versions_by_valid_to ON partner_center.device_batch_versions (valid_to);

-- +goose StatementBegin
CREATE FUNCTION partner_center.known_days(first date, last date)
RETURNS SETOF date
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
ROWS 10 -- not the truth: with thousands the planner would have the query compiled, which takes seconds
AS $$
DECLARE
    began constant timestamptz := (SELECT min(first_seen_at) FROM partner_center.customers); -- no batch before its customer
    today constant date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    RETURN QUERY
    SELECT d::date
    FROM generate_series(
        greatest(first, coalesce((began AT TIME ZONE 'UTC')::date, 'infinity'))::timestamp, least(last, today)::timestamp,
        interval '1 day') d;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.known_days(date, date) IS
    'The days (UTC) from first to last, both included, without those before any customer was known and those to come.';

-- +goose StatementBegin
CREATE FUNCTION partner_center.daily_device_batch_statuses_between(first date, last date)
RETURNS TABLE (day date, customer_id uuid, status text, batches bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT n.day, n.customer_id, n.status, n.batches
    FROM (
        SELECT d.day, s.customer_id, s.status, (width_bucket(d.day, s.begins) - width_bucket(d.day, s.ends))::bigint AS batches
        FROM (
            SELECT v.customer_id, v.status, count(*) AS versions,
                   array_agg(v.begins ORDER BY v.begins) AS begins,
                   array_agg(v.ends ORDER BY v.ends)     AS ends
            FROM (
                SELECT b.customer_id, b.status COLLATE "C" AS status,
                       (b.valid_from AT TIME ZONE 'UTC')::date AS begins, date 'infinity' AS ends
                FROM partner_center.device_batches b
                WHERE b.removed_at IS NULL
                  AND b.valid_from < (last + 1)::timestamp AT TIME ZONE 'UTC'
                UNION ALL
                SELECT o.customer_id, o.status COLLATE "C",
                       (o.valid_from AT TIME ZONE 'UTC')::date, (o.valid_to AT TIME ZONE 'UTC')::date
                FROM partner_center.device_batch_versions o
                WHERE o.removed_at IS NULL
                  AND (o.valid_from AT TIME ZONE 'UTC')::date < (o.valid_to AT TIME ZONE 'UTC')::date -- else no day ends with it
                  AND o.valid_from < (last + 1)::timestamp AT TIME ZONE 'UTC'
                  AND o.valid_to >= first::timestamp AT TIME ZONE 'UTC'
            ) v
            GROUP BY v.customer_id, v.status
        ) s
        -- True of every pair. But a hash join looks at the days first, and if none of these is asked for reads nothing else.
        JOIN partner_center.known_days(first, last) AS d (day) ON isfinite(d.day) = (s.versions > 0)
    ) n
    WHERE n.batches > 0
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customers c
          WHERE c.customer_id = n.customer_id AND (c.pruned_before AT TIME ZONE 'UTC')::date > n.day);
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.daily_device_batch_statuses_between(date, date) IS
    'What daily_device_batch_statuses shows of the days from first to last, both included, today being the last, and quickly, however long ago those are: select * from partner_center.daily_device_batch_statuses_between(''2026-01-01'', ''2026-01-31'').';

-- In parts, so that a question about some days reads no more than what was there in the parts that those are in: the longer
-- ago, the fewer ask. Each part counts again what was there when it began.
CREATE VIEW partner_center.daily_device_batch_statuses AS
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between((now() AT TIME ZONE 'UTC')::date - 34, (now() AT TIME ZONE 'UTC')::date - 0)
UNION ALL
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between((now() AT TIME ZONE 'UTC')::date - 124, (now() AT TIME ZONE 'UTC')::date - 35)
UNION ALL
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between((now() AT TIME ZONE 'UTC')::date - 244, (now() AT TIME ZONE 'UTC')::date - 125)
UNION ALL
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between((now() AT TIME ZONE 'UTC')::date - 424, (now() AT TIME ZONE 'UTC')::date - 245)
UNION ALL
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between('1970-01-01', (now() AT TIME ZONE 'UTC')::date - 425);
COMMENT ON VIEW partner_center.daily_device_batch_statuses IS
    'How many batches each customer had in each status at the end of each day (UTC), removed ones left out; today as it is now. A status that no batch was in has no row. For a customer whose history was pruned there are no rows of days before customers.pruned_before (UTC).';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.day IS 'The day (UTC); from the first on that any batch was known, to today.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.status IS 'As in device_batches; null for batches without one.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.batches IS 'Number of batches; at least 1.';

-- +goose Down
DROP VIEW partner_center.daily_device_batch_statuses;
DROP FUNCTION partner_center.daily_device_batch_statuses_between(date, date);
DROP FUNCTION partner_center.known_days(date, date);
DROP INDEX partner_center.device_batch_versions_by_valid_to;
