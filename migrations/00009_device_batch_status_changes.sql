-- Speed: a week's changes to superseded versions are found by an index, those to current ones by reading all of these, and the
-- whole view is joins that the planner may hash, in parallel. A correlated subquery for the time in the status before would do
-- neither: it runs for each row, in one process, and its estimated cost has even a small question compiled for longer than it
-- runs.

-- +goose Up
CREATE INDEX device_batch_versions_by_valid_from ON partner_center.device_batch_versions (valid_from);

-- +goose StatementBegin
CREATE FUNCTION partner_center.device_batch_status_since(customer_id uuid, batch_id text, status text, at timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Since the last version that had another status ended, or since the first version of all, if that was not pruned.
    SELECT coalesce(
        (SELECT v.valid_to
         FROM partner_center.device_batch_versions v
         WHERE v.customer_id = $1 AND v.batch_id = $2 AND v.valid_to <= $4 AND v.status IS DISTINCT FROM $3
         ORDER BY v.valid_to DESC
         LIMIT 1),
        (SELECT CASE WHEN v.not_before IS NULL THEN v.valid_from END
         FROM partner_center.device_batch_versions v
         WHERE v.customer_id = $1 AND v.batch_id = $2 AND v.valid_to <= $4
         ORDER BY v.valid_to
         LIMIT 1));
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.device_batch_status_since(uuid, text, text, timestamptz) IS
    'Since when a batch had had the status when a version of it ended at that time; null if no version had ended by then, or the one that it began with was pruned.';

-- A version's predecessor p ends where it begins. A version without one is the first only if it has no not_before: else those
-- before it were pruned, and what it changed is not known. Most often the status before began with p or with the version
-- before it, q, as q or the one before that, r, shows; the function is for the rest.
CREATE VIEW partner_center.device_batch_status_changes AS
SELECT s.*, extract(epoch FROM s.time_in_from_status)::double precision AS time_in_from_status_seconds,
       partner_center.batch_key(s.customer_id, s.batch_id) AS batch_key
FROM (
    SELECT h.customer_id, h.batch_id,
           p.status     AS from_status,
           h.status     AS to_status,
           h.not_before AS changed_after,
           h.valid_from AS changed_by,
           h.valid_from - CASE WHEN p.not_before IS NULL THEN p.valid_from
                               WHEN q.customer_id IS NULL THEN NULL -- pruned
                               WHEN q.status IS DISTINCT FROM p.status THEN p.valid_from
                               WHEN q.not_before IS NULL THEN q.valid_from
                               WHEN r.customer_id IS NULL THEN NULL
                               WHEN r.status IS DISTINCT FROM q.status THEN q.valid_from
                               ELSE partner_center.device_batch_status_since(r.customer_id, r.batch_id, r.status, r.valid_to)
                          END AS time_in_from_status
    FROM partner_center.device_batch_history h
    LEFT JOIN partner_center.device_batch_versions p
           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
    LEFT JOIN partner_center.device_batch_versions q
           ON q.customer_id = p.customer_id AND q.batch_id = p.batch_id AND q.valid_to = p.valid_from
    LEFT JOIN partner_center.device_batch_versions r
           ON r.customer_id = q.customer_id AND r.batch_id = q.batch_id AND r.valid_to = q.valid_from
          AND q.status IS NOT DISTINCT FROM p.status
    WHERE CASE WHEN p.customer_id IS NULL THEN h.not_before IS NULL ELSE p.status IS DISTINCT FROM h.status END
) s;
COMMENT ON VIEW partner_center.device_batch_status_changes IS
    'One row for each change of a batch''s status, its first one included. Removal and return are no changes of status. A change is shown as long as the version before it is kept (partnersync prune).';
COMMENT ON COLUMN partner_center.device_batch_status_changes.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.from_status IS 'The status before; null when the batch was first seen.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.to_status IS 'The status after.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.changed_after IS 'The change happened after this time; null when the batch was first seen.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.changed_by IS 'The change had happened by this time.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.time_in_from_status IS
    'How long the batch was seen in the status before (interval), from its first version with it; null when the batch was first seen, and where that version was pruned.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.time_in_from_status_seconds IS 'time_in_from_status in seconds.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.batch_key IS 'customer_id and batch_id as a single key (function batch_key).';

-- +goose Down
DROP VIEW partner_center.device_batch_status_changes;
DROP FUNCTION partner_center.device_batch_status_since(uuid, text, text, timestamptz);
DROP INDEX partner_center.device_batch_versions_by_valid_from;
