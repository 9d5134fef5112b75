-- +goose Up
-- Every version before the first terminal one is unfinished: the batch was seen unfinished first if that is not its first
-- version of all.
CREATE VIEW partner_center.device_batch_turnaround AS
SELECT b.customer_id, b.batch_id, b.creation_date, t.first_seen_at, t.finished_at,
       t.finished_at - coalesce(b.creation_date, t.first_seen_at) AS duration,
       b.devices_count,
       CASE lower(replace(b.status, '-', '_')) WHEN 'finished' THEN false WHEN 'finished_with_errors' THEN true END AS with_errors
FROM partner_center.device_batches b
JOIN (
    SELECT h.customer_id, h.batch_id,
           CASE WHEN bool_or(h.not_before IS NULL) THEN min(h.valid_from) END AS first_seen_at, -- else that version was pruned
           nullif(min(h.valid_from) FILTER (WHERE lower(replace(h.status, '-', '_')) IN ('finished', 'finished_with_errors')),
                  min(h.valid_from)) AS finished_at
    FROM partner_center.device_batch_history h
    GROUP BY h.customer_id, h.batch_id
) t ON t.customer_id = b.customer_id AND t.batch_id = b.batch_id;
COMMENT ON VIEW partner_center.device_batch_turnaround IS
    'How long each batch took to finish, removed ones included. One that was finished when it was first seen has neither finished_at nor duration, and neither has one whose unfinished versions were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.device_batch_turnaround.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.creation_date IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.first_seen_at IS 'When the batch was first observed; null if that version was pruned.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.finished_at IS
    'When the batch was first observed in a terminal status (finished, finished_with_errors); null unless it was seen in another one before.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.duration IS
    'From creation_date, or first_seen_at where that is unknown, to finished_at (interval); null where that is.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.with_errors IS
    'Whether the present status is finished_with_errors; null while the batch is unfinished.';

-- +goose Down
DROP VIEW partner_center.device_batch_turnaround;
