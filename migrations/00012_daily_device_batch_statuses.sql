-- Speed: each version counts one more on the day it begins and one less on the day it ends, and a running sum of that is
-- the state at the end of each day. So the whole history costs one sort, and a few days cost the versions that were there
-- then: those that end later, by an index.

-- +goose Up
CREATE INDEX device_batch_versions_by_valid_to ON partner_center.device_batch_versions (valid_to);

-- +goose StatementBegin
CREATE FUNCTION partner_center.daily_device_batch_statuses_between(first date, last date)
RETURNS TABLE (day date, customer_id uuid, status text, batches bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT d.day, s.customer_id, s.status, s.batches
    FROM (
        -- The last row of a day has the state at its end, which holds for a number of days.
        SELECT c.customer_id, c.status, c.day,
               sum(c.more) OVER changes                           AS batches,
               lead(c.day, 1, last + 1) OVER changes - c.day      AS days
        FROM (
            SELECT b.customer_id, b.status COLLATE "C" AS status, greatest((b.valid_from AT TIME ZONE 'UTC')::date, first) AS day, 1 AS more
            FROM partner_center.device_batches b
            WHERE b.removed_at IS NULL
              AND b.valid_from < (last + 1)::timestamp AT TIME ZONE 'UTC'
            UNION ALL
            SELECT v.customer_id, v.status COLLATE "C", greatest((v.valid_from AT TIME ZONE 'UTC')::date, first), 1
            FROM partner_center.device_batch_versions v
            WHERE v.removed_at IS NULL
              AND (v.valid_from AT TIME ZONE 'UTC')::date < (v.valid_to AT TIME ZONE 'UTC')::date -- else no day ends with it
              AND v.valid_from < (last + 1)::timestamp AT TIME ZONE 'UTC'
              AND v.valid_to >= first::timestamp AT TIME ZONE 'UTC'
            UNION ALL
            SELECT v.customer_id, v.status COLLATE "C", (v.valid_to AT TIME ZONE 'UTC')::date, -1
            FROM partner_center.device_batch_versions v
            WHERE v.removed_at IS NULL
              AND (v.valid_from AT TIME ZONE 'UTC')::date < (v.valid_to AT TIME ZONE 'UTC')::date
              AND v.valid_to < (last + 1)::timestamp AT TIME ZONE 'UTC'
              AND v.valid_to >= first::timestamp AT TIME ZONE 'UTC'
        ) c
        WINDOW changes AS (PARTITION BY c.customer_id, c.status ORDER BY c.day ROWS UNBOUNDED PRECEDING)
    ) s
    -- The planner takes an array of unknown length for 10 rows, but generate_series for 1,000: enough of them to have the
    -- query compiled, which takes seconds.
    CROSS JOIN LATERAL unnest(array_fill(0, ARRAY[s.days])) WITH ORDINALITY AS n (zero, nth)
    -- The days that are asked for; if there are none among these, nothing else is read.
    JOIN unnest(ARRAY(SELECT first + i FROM generate_series(0, last - first) AS i)) AS d (day) ON d.day = s.day + n.nth::integer - 1
    WHERE s.days > 0 AND s.batches > 0
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.daily_device_batch_statuses_between(date, date) IS
    'What daily_device_batch_statuses shows of the days from first to last, both included, and quickly, however long ago those are: select * from partner_center.daily_device_batch_statuses_between(''2026-01-01'', ''2026-01-31'').';

-- Two parts, so that a question about the last five weeks reads no more than what was there since.
CREATE VIEW partner_center.daily_device_batch_statuses AS
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between((now() AT TIME ZONE 'UTC')::date - 34, (now() AT TIME ZONE 'UTC')::date)
UNION ALL
SELECT day, customer_id, status, batches
FROM partner_center.daily_device_batch_statuses_between('1970-01-01', (now() AT TIME ZONE 'UTC')::date - 35);
COMMENT ON VIEW partner_center.daily_device_batch_statuses IS
    'How many batches each customer had in each status at the end of each day (UTC), removed ones left out; today as it is now. A status that no batch was in has no row.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.day IS 'The day (UTC); from the first on that any batch was known, to today.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.status IS 'As in device_batches; null for batches without one.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.batches IS 'Number of batches; at least 1.';

-- +goose Down
DROP VIEW partner_center.daily_device_batch_statuses;
DROP FUNCTION partner_center.daily_device_batch_statuses_between(date, date);
DROP INDEX partner_center.device_batch_versions_by_valid_to;
