-- Speed: a week's changes to superseded versions are found by an index, those to current ones by reading all of these.

-- +goose Up
CREATE INDEX device_batch_versions_by_valid_from ON partner_center.device_batch_versions (valid_from);

-- A version's predecessor p ends where it begins. A version without one is the first only if it has no not_before: else those
-- before it were pruned, and what it changed is not known. The status before began when the last version before p that had
-- another one ended, or else with the first version of all, if that was not pruned. (There is p itself to group, so that no
-- outer join is needed, which a cluster refuses here.)
CREATE VIEW partner_center.device_batch_status_changes AS
SELECT s.*, extract(epoch FROM s.time_in_from_status)::double precision AS time_in_from_status_seconds,
       partner_center.batch_key(s.customer_id, s.batch_id) AS batch_key
FROM (
    SELECT customer_id, batch_id, NULL AS from_status, status AS to_status, NULL::timestamptz AS changed_after,
           valid_from AS changed_by, NULL::interval AS time_in_from_status
    FROM partner_center.device_batch_history
    WHERE not_before IS NULL
    UNION ALL
    SELECT h.customer_id, h.batch_id, p.status, h.status, h.not_before, h.valid_from, h.valid_from - b.began
    FROM partner_center.device_batch_history h
    JOIN partner_center.device_batch_versions p
         ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
    CROSS JOIN LATERAL (
        SELECT v.customer_id, -- compared below once more, which shows a Citus cluster that this is about one customer
               coalesce(max(v.valid_to) FILTER (WHERE v.status IS DISTINCT FROM p.status),
                        min(v.valid_from) FILTER (WHERE v.not_before IS NULL)) AS began
        FROM partner_center.device_batch_versions v
        WHERE v.customer_id = p.customer_id AND v.batch_id = p.batch_id AND v.valid_to <= p.valid_to
        GROUP BY v.customer_id
    ) b
    WHERE b.customer_id = h.customer_id AND p.status IS DISTINCT FROM h.status
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
DROP INDEX partner_center.device_batch_versions_by_valid_from;
