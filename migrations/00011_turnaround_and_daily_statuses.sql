-- +goose Up
CREATE VIEW partner_center.device_batch_turnaround AS
SELECT b.customer_id, b.batch_id, b.creation_date,
       coalesce(v.first_seen_at, b.valid_from) AS first_seen_at,
       CASE WHEN s.unfinished_at < s.finished_at THEN s.finished_at END AS finished_at,
       CASE WHEN s.unfinished_at < s.finished_at
            THEN s.finished_at - coalesce(b.creation_date, v.first_seen_at, b.valid_from) END AS duration,
       b.devices_count,
       CASE WHEN n.finished THEN lower(replace(b.status, '-', '_')) = 'finished_with_errors' END AS with_errors
FROM partner_center.device_batches b
CROSS JOIN LATERAL (
    SELECT coalesce(lower(replace(b.status, '-', '_')), '') IN ('finished', 'finished_with_errors') AS finished
) n
CROSS JOIN LATERAL (
    SELECT min(v.valid_from) AS first_seen_at,
           min(v.valid_from) FILTER (WHERE coalesce(lower(replace(v.status, '-', '_')), '') IN ('finished', 'finished_with_errors')) AS finished_at,
           min(v.valid_from) FILTER (WHERE coalesce(lower(replace(v.status, '-', '_')), '') NOT IN ('finished', 'finished_with_errors')) AS unfinished_at
    FROM partner_center.device_batch_versions v
    WHERE v.customer_id = b.customer_id AND v.batch_id = b.batch_id
) v
CROSS JOIN LATERAL (
    SELECT least(v.finished_at, CASE WHEN n.finished THEN b.valid_from END) AS finished_at,
           least(v.unfinished_at, CASE WHEN NOT n.finished THEN b.valid_from END) AS unfinished_at
) s;
COMMENT ON VIEW partner_center.device_batch_turnaround IS
    'How long each batch took until it was first seen finished (finished or finished_with_errors), removed batches included.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.creation_date IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.first_seen_at IS 'When the batch was first observed.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.finished_at IS
    'When it was first observed as finished; null unless it was seen unfinished before, since then nobody knows.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.duration IS
    'From creation_date, or first_seen_at where that is unknown, to finished_at (interval); null where finished_at is.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.with_errors IS 'Whether its present status is finished_with_errors; null while it is unfinished.';

-- A version counts from the day it begins until the day before it ends; the running sums of what comes and goes in a day
-- need one look at each version, however many days there are.
CREATE VIEW partner_center.daily_device_batch_statuses AS
SELECT l.day + g.days AS day, l.customer_id, l.status, l.batches
FROM (
    SELECT s.customer_id, s.status, s.day,
           sum(s.batches) OVER w AS batches,
           coalesce(lead(s.day) OVER w, (now() AT TIME ZONE 'UTC')::date + 1) - s.day AS lasts
    FROM (
        SELECT e.customer_id, e.status, e.day, sum(e.batches)::integer AS batches
        FROM (
            SELECT h.customer_id, h.status, (h.valid_from AT TIME ZONE 'UTC')::date AS day, 1 AS batches
            FROM partner_center.device_batch_history h
            WHERE h.removed_at IS NULL
            UNION ALL
            SELECT v.customer_id, v.status, (v.valid_to AT TIME ZONE 'UTC')::date, -1
            FROM partner_center.device_batch_versions v
            WHERE v.removed_at IS NULL
        ) e
        GROUP BY e.customer_id, e.status, e.day
    ) s
    WINDOW w AS (PARTITION BY s.customer_id, s.status ORDER BY s.day)
) l
CROSS JOIN LATERAL generate_series(0, l.lasts - 1) AS g (days)
WHERE l.batches > 0;
COMMENT ON VIEW partner_center.daily_device_batch_statuses IS
    'How many batches of each customer were in which status at the end of each day (UTC), and today as it is now. Removed batches are not counted; a status without batches has no row.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.day IS 'The day (UTC).';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.status IS 'The status, as received.';
COMMENT ON COLUMN partner_center.daily_device_batch_statuses.batches IS 'Number of batches.';

-- +goose Down
DROP VIEW partner_center.daily_device_batch_statuses;
DROP VIEW partner_center.device_batch_turnaround;
