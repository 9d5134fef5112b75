-- +goose Up
CREATE VIEW partner_center.device_batch_history AS
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at,
       NULL::timestamptz AS valid_to, true AS is_current
FROM partner_center.device_batches
UNION ALL
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at,
       valid_to, false
FROM partner_center.device_batch_versions;
COMMENT ON VIEW partner_center.device_batch_history IS
    'Every version of every batch. A version holds at a time t if valid_from <= t AND (valid_to > t OR valid_to IS NULL); the versions of a batch neither overlap nor leave gaps. The oldest one is the first, unless it has a not_before: then earlier ones were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.device_batch_history.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_history.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_history.status IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_history.created_by IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_history.creation_date IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_history.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_history.extra IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_history.valid_from IS 'When the version was first observed.';
COMMENT ON COLUMN partner_center.device_batch_history.not_before IS 'The change to the version happened after this time and not later than valid_from; null for the first.';
COMMENT ON COLUMN partner_center.device_batch_history.removed_at IS 'Set in a version in which the batch was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.device_batch_history.valid_to IS
    'When the next version was first observed; null for the current one. What held at a time t: valid_from <= t AND (valid_to > t OR valid_to IS NULL).';
COMMENT ON COLUMN partner_center.device_batch_history.is_current IS 'Whether the version is the current one.';

CREATE VIEW partner_center.unfinished_device_batches AS
SELECT u.*, now() - u.status_since AS in_status_for, now() - u.creation_date AS age,
       extract(epoch FROM now() - u.status_since)::double precision AS in_status_for_seconds,
       extract(epoch FROM now() - u.creation_date)::double precision AS age_seconds,
       partner_center.batch_key(u.customer_id, u.batch_id) AS batch_key
FROM (
    SELECT b.customer_id, b.batch_id, b.status, b.created_by, b.creation_date, b.devices_count, b.extra,
           b.valid_from, b.not_before, b.removed_at,
           -- Null if neither a version in another status nor the first version of all is kept.
           coalesce(v.other_until, CASE WHEN b.not_before IS NULL THEN b.valid_from ELSE v.began END) AS status_since
    FROM partner_center.device_batches b
    LEFT JOIN LATERAL (
        SELECT v.customer_id, -- compared below once more, which shows a Citus cluster that this is about one customer
               max(v.valid_to) FILTER (WHERE v.status IS DISTINCT FROM b.status) AS other_until,
               min(v.valid_from) FILTER (WHERE v.not_before IS NULL) AS began
        FROM partner_center.device_batch_versions v
        WHERE v.customer_id = b.customer_id AND v.batch_id = b.batch_id
        GROUP BY v.customer_id
    ) v ON v.customer_id = b.customer_id
    WHERE b.removed_at IS NULL AND NOT partner_center.is_finished(b.status)
      AND NOT EXISTS (
          SELECT FROM partner_center.customers c WHERE c.customer_id = b.customer_id AND c.removed_at IS NOT NULL)
) u;
COMMENT ON VIEW partner_center.unfinished_device_batches IS
    'Batches that are listed, of customers that are there, in no terminal status (finished, finished_with_errors); no status and unknown ones count as unfinished.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.status IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.created_by IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.creation_date IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.extra IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.valid_from IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.not_before IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.removed_at IS 'Always null here.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.status_since IS
    'When the batch was first seen in its present status; null if that version was pruned: then it has been in this status since before customers.pruned_before.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.in_status_for IS 'Time since status_since (interval); null where that is.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.age IS 'Time since creation_date (interval); null where that is unknown.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.in_status_for_seconds IS 'in_status_for in seconds.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.age_seconds IS 'age in seconds.';
COMMENT ON COLUMN partner_center.unfinished_device_batches.batch_key IS 'customer_id and batch_id as a single key (function batch_key).';

-- +goose StatementBegin
CREATE FUNCTION partner_center.device_batches_as_of(at timestamptz)
RETURNS TABLE (
    customer_id uuid, batch_id text, status text, created_by text, creation_date timestamptz, devices_count integer,
    extra jsonb, valid_from timestamptz, not_before timestamptz, removed_at timestamptz, valid_to timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.customer_id, h.batch_id, h.status, h.created_by, h.creation_date, h.devices_count,
           h.extra, h.valid_from, h.not_before, h.removed_at, h.valid_to
    FROM partner_center.device_batch_history h
    WHERE h.valid_from <= at AND (h.valid_to > at OR h.valid_to IS NULL) AND h.removed_at IS NULL
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customer_history c
          WHERE c.customer_id = h.customer_id
            AND c.valid_from <= at AND (c.valid_to > at OR c.valid_to IS NULL) AND c.removed_at IS NOT NULL)
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customers c
          WHERE c.customer_id = h.customer_id AND c.pruned_before > at);
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.device_batches_as_of(timestamptz) IS
    'The batches as they were known at that time, without removed ones and without those of customers that had left: select * from partner_center.device_batches_as_of(''2026-01-31 18:00Z''). For a customer whose history was pruned there are no rows of times before customers.pruned_before.';

-- +goose Down
DROP FUNCTION partner_center.device_batches_as_of(timestamptz);
DROP VIEW partner_center.unfinished_device_batches;
DROP VIEW partner_center.device_batch_history;
