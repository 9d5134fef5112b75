-- A version without a version before it is the first one only if it has no not_before: else those before it were pruned, and
-- what it changed is not known. So it is no change, and no first sight.

-- +goose Up
CREATE OR REPLACE VIEW partner_center.device_batch_status_changes AS
SELECT h.customer_id, h.batch_id,
       p.status     AS from_status,
       h.status     AS to_status,
       h.not_before AS changed_after,
       h.valid_from AS changed_by,
       h.valid_from - CASE WHEN q.customer_id IS NULL THEN p.valid_from
                           WHEN r.customer_id IS NULL THEN q.valid_from
                           ELSE partner_center.device_batch_status_since(r.customer_id, r.batch_id, r.status, r.valid_to)
                      END AS time_in_from_status
FROM partner_center.device_batch_history h
LEFT JOIN partner_center.device_batch_versions p
       ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
LEFT JOIN partner_center.device_batch_versions q
       ON q.customer_id = p.customer_id AND q.batch_id = p.batch_id AND q.valid_to = p.valid_from
      AND q.status IS NOT DISTINCT FROM p.status
LEFT JOIN partner_center.device_batch_versions r
       ON r.customer_id = q.customer_id AND r.batch_id = q.batch_id AND r.valid_to = q.valid_from
      AND r.status IS NOT DISTINCT FROM q.status
WHERE CASE WHEN p.customer_id IS NULL THEN h.not_before IS NULL ELSE p.status IS DISTINCT FROM h.status END;

CREATE OR REPLACE VIEW partner_center.device_batch_turnaround AS
SELECT b.customer_id, b.batch_id, b.creation_date, t.first_seen_at, t.finished_at,
       t.finished_at - coalesce(b.creation_date, t.first_seen_at) AS duration,
       b.devices_count,
       CASE lower(replace(b.status, '-', '_')) WHEN 'finished' THEN false WHEN 'finished_with_errors' THEN true END AS with_errors
FROM partner_center.device_batches b
JOIN (
    SELECT h.customer_id, h.batch_id,
           CASE WHEN bool_or(h.not_before IS NULL) THEN min(h.valid_from) END AS first_seen_at,
           nullif(min(h.valid_from) FILTER (WHERE lower(replace(h.status, '-', '_')) IN ('finished', 'finished_with_errors')),
                  min(h.valid_from)) AS finished_at
    FROM partner_center.device_batch_history h
    GROUP BY h.customer_id, h.batch_id
) t ON t.customer_id = b.customer_id AND t.batch_id = b.batch_id;

CREATE OR REPLACE VIEW partner_center.device_policy_changes AS
SELECT d.customer_id, d.batch_id, d.device_id, d.policy_key, d.from_value, d.to_value,
       coalesce(f.name, CASE WHEN d.from_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.from_value END) AS from_policy_name,
       coalesce(t.name, CASE WHEN d.to_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.to_value END) AS to_policy_name,
       d.changed_after, d.changed_by
FROM (
    SELECT h.customer_id, h.batch_id, h.device_id, x.policy_key, x.from_value, x.to_value,
           h.not_before AS changed_after, h.valid_from AS changed_by
    FROM partner_center.device_history h
    LEFT JOIN partner_center.device_versions p
           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
    CROSS JOIN LATERAL (
        SELECT coalesce(o.key, n.key) AS policy_key, o.value AS from_value, n.value AS to_value
        FROM jsonb_to_recordset(p.policies) AS o (key text, value text)
        FULL JOIN jsonb_to_recordset(h.policies) AS n (key text, value text) ON n.key = o.key
    ) x
    WHERE p.policies IS DISTINCT FROM h.policies AND x.from_value IS DISTINCT FROM x.to_value
      AND (p.customer_id IS NOT NULL OR h.not_before IS NULL)
) d
LEFT JOIN partner_center.configuration_policies f ON f.customer_id = d.customer_id AND f.policy_id = d.from_value
LEFT JOIN partner_center.configuration_policies t ON t.customer_id = d.customer_id AND t.policy_id = d.to_value;

COMMENT ON VIEW partner_center.device_batch_status_changes IS
    'One row for each change of a batch''s status, its first one included. Removal and return are no changes of status. A change is shown as long as the version before it is kept (partnersync prune).';
COMMENT ON COLUMN partner_center.device_batch_status_changes.time_in_from_status IS
    'How long the batch was seen in the status before (interval), from its first version with it, or the oldest one kept; null when the batch was first seen.';
COMMENT ON VIEW partner_center.device_batch_turnaround IS
    'How long each batch took to finish, removed ones included. One that was finished when it was first seen has neither finished_at nor duration, and neither has one whose unfinished versions were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.device_batch_turnaround.first_seen_at IS 'When the batch was first observed; null if that version was pruned.';
COMMENT ON VIEW partner_center.device_policy_changes IS
    'Which device got or lost which policy, and when. The first version of a device gives the policies it came with. Removal and return are no changes. A change is shown as long as the version before it is kept (partnersync prune).';
COMMENT ON VIEW partner_center.device_batch_history IS
    'Every version of every batch. A version holds at a time t if valid_from <= t and t < valid_to; the versions of a batch neither overlap nor leave gaps. The oldest one is the first, unless it has a not_before: then earlier ones were pruned (partnersync prune).';
COMMENT ON TABLE partner_center.device_batch_versions IS 'Superseded versions of device batches. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON TABLE partner_center.device_versions IS 'Superseded versions of devices. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON TABLE partner_center.configuration_policy_versions IS 'Superseded versions of configuration_policies. Rows are only ever added; partnersync prune, run by hand, removes old ones.';

-- +goose Down
COMMENT ON VIEW partner_center.device_batch_status_changes IS
    'One row for each change of a batch''s status, its first one included. Removal and return are no changes of status.';
COMMENT ON COLUMN partner_center.device_batch_status_changes.time_in_from_status IS
    'How long the batch was seen in the status before (interval), from its first version with it; null when the batch was first seen.';
COMMENT ON VIEW partner_center.device_batch_turnaround IS
    'How long each batch took to finish, removed ones included. One that was finished when it was first seen has neither finished_at nor duration.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.first_seen_at IS 'When the batch was first observed.';
COMMENT ON VIEW partner_center.device_policy_changes IS
    'Which device got or lost which policy, and when. The first version of a device gives the policies it came with. Removal and return are no changes.';
COMMENT ON VIEW partner_center.device_batch_history IS
    'Every version of every batch. A version holds at a time t if valid_from <= t and t < valid_to; the versions of a batch neither overlap nor leave gaps.';
COMMENT ON TABLE partner_center.device_batch_versions IS 'Superseded versions of device batches. Rows are only ever added.';
COMMENT ON TABLE partner_center.device_versions IS 'Superseded versions of devices. Rows are only ever added.';
COMMENT ON TABLE partner_center.configuration_policy_versions IS 'Superseded versions of configuration_policies. Rows are only ever added.';

CREATE OR REPLACE VIEW partner_center.device_policy_changes AS
SELECT d.customer_id, d.batch_id, d.device_id, d.policy_key, d.from_value, d.to_value,
       coalesce(f.name, CASE WHEN d.from_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.from_value END) AS from_policy_name,
       coalesce(t.name, CASE WHEN d.to_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.to_value END) AS to_policy_name,
       d.changed_after, d.changed_by
FROM (
    SELECT h.customer_id, h.batch_id, h.device_id, x.policy_key, x.from_value, x.to_value,
           h.not_before AS changed_after, h.valid_from AS changed_by
    FROM partner_center.device_history h
    LEFT JOIN partner_center.device_versions p
           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
    CROSS JOIN LATERAL (
        SELECT coalesce(o.key, n.key) AS policy_key, o.value AS from_value, n.value AS to_value
        FROM jsonb_to_recordset(p.policies) AS o (key text, value text)
        FULL JOIN jsonb_to_recordset(h.policies) AS n (key text, value text) ON n.key = o.key
    ) x
    WHERE p.policies IS DISTINCT FROM h.policies AND x.from_value IS DISTINCT FROM x.to_value
) d
LEFT JOIN partner_center.configuration_policies f ON f.customer_id = d.customer_id AND f.policy_id = d.from_value
LEFT JOIN partner_center.configuration_policies t ON t.customer_id = d.customer_id AND t.policy_id = d.to_value;

CREATE OR REPLACE VIEW partner_center.device_batch_turnaround AS
SELECT b.customer_id, b.batch_id, b.creation_date, t.first_seen_at, t.finished_at,
       t.finished_at - coalesce(b.creation_date, t.first_seen_at) AS duration,
       b.devices_count,
       CASE lower(replace(b.status, '-', '_')) WHEN 'finished' THEN false WHEN 'finished_with_errors' THEN true END AS with_errors
FROM partner_center.device_batches b
JOIN (
    SELECT h.customer_id, h.batch_id,
           min(h.valid_from) AS first_seen_at,
           nullif(min(h.valid_from) FILTER (WHERE lower(replace(h.status, '-', '_')) IN ('finished', 'finished_with_errors')),
                  min(h.valid_from)) AS finished_at
    FROM partner_center.device_batch_history h
    GROUP BY h.customer_id, h.batch_id
) t ON t.customer_id = b.customer_id AND t.batch_id = b.batch_id;

CREATE OR REPLACE VIEW partner_center.device_batch_status_changes AS
SELECT h.customer_id, h.batch_id,
       p.status     AS from_status,
       h.status     AS to_status,
       h.not_before AS changed_after,
       h.valid_from AS changed_by,
       h.valid_from - CASE WHEN q.customer_id IS NULL THEN p.valid_from
                           WHEN r.customer_id IS NULL THEN q.valid_from
                           ELSE partner_center.device_batch_status_since(r.customer_id, r.batch_id, r.status, r.valid_to)
                      END AS time_in_from_status
FROM partner_center.device_batch_history h
LEFT JOIN partner_center.device_batch_versions p
       ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
LEFT JOIN partner_center.device_batch_versions q
       ON q.customer_id = p.customer_id AND q.batch_id = p.batch_id AND q.valid_to = p.valid_from
      AND q.status IS NOT DISTINCT FROM p.status
LEFT JOIN partner_center.device_batch_versions r
       ON r.customer_id = q.customer_id AND r.batch_id = q.batch_id AND r.valid_to = q.valid_from
      AND r.status IS NOT DISTINCT FROM q.status
WHERE p.customer_id IS NULL OR p.status IS DISTINCT FROM h.status;
