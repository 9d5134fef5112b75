-- What happened in a week is asked more often than what happened ever.
-- +goose Up
CREATE INDEX device_batches_by_time ON partner_center.device_batches (valid_from);
CREATE INDEX device_batch_versions_by_time ON partner_center.device_batch_versions (valid_from);

-- A version's predecessor ends where it begins. Only where the one before that has the same status is it necessary to look
-- further back for the beginning of the status.
CREATE OR REPLACE VIEW partner_center.device_batch_status_changes AS
SELECT h.customer_id, h.batch_id,
       p.status     AS from_status,
       h.status     AS to_status,
       h.not_before AS changed_after,
       h.valid_from AS changed_by,
       h.valid_from - CASE WHEN q.customer_id IS NULL THEN p.valid_from ELSE coalesce(
           (SELECT v.valid_to
            FROM partner_center.device_batch_versions v
            WHERE v.customer_id = q.customer_id AND v.batch_id = q.batch_id AND v.valid_to <= q.valid_from
              AND v.status IS DISTINCT FROM q.status
            ORDER BY v.valid_to DESC
            LIMIT 1),
           (SELECT v.valid_from
            FROM partner_center.device_batch_versions v
            WHERE v.customer_id = q.customer_id AND v.batch_id = q.batch_id
            ORDER BY v.valid_to
            LIMIT 1)) END AS time_in_from_status
FROM partner_center.device_batch_history h
LEFT JOIN partner_center.device_batch_versions p
       ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
LEFT JOIN partner_center.device_batch_versions q
       ON q.customer_id = p.customer_id AND q.batch_id = p.batch_id AND q.valid_to = p.valid_from AND q.status IS NOT DISTINCT FROM p.status
WHERE p.customer_id IS NULL OR p.status IS DISTINCT FROM h.status;

-- +goose Down
CREATE OR REPLACE VIEW partner_center.device_batch_status_changes AS
SELECT h.customer_id, h.batch_id,
       p.status     AS from_status,
       h.status     AS to_status,
       h.not_before AS changed_after,
       h.valid_from AS changed_by,
       h.valid_from - (
           SELECT coalesce(max(v.valid_to) FILTER (WHERE v.status IS DISTINCT FROM p.status), min(v.valid_from))
           FROM partner_center.device_batch_versions v
           WHERE v.customer_id = p.customer_id AND v.batch_id = p.batch_id AND v.valid_to <= p.valid_to
       ) AS time_in_from_status
FROM partner_center.device_batch_history h
LEFT JOIN partner_center.device_batch_versions p
       ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
WHERE p.customer_id IS NULL OR p.status IS DISTINCT FROM h.status;
DROP INDEX partner_center.device_batch_versions_by_time;
DROP INDEX partner_center.device_batches_by_time;
