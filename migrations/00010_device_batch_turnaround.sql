-- +goose Up
-- Every version before the first terminal one is unfinished: the batch was seen unfinished first if that is not its first
-- version of all. A name may be used again for another batch, so that the current creation_date need not be that of the
-- version that was finished: an array keeps the two together, at the price of one aggregate.
CREATE VIEW partner_center.device_batch_turnaround AS
SELECT b.customer_id, b.batch_id, c.creation_date, t.first_seen_at, f.finished_at,
       -- The API's clock may be ahead.
       CASE WHEN c.creation_date > f.finished_at THEN interval '0'
            ELSE f.finished_at - coalesce(c.creation_date, t.first_seen_at) END AS duration,
       b.devices_count,
       CASE lower(replace(b.status, '-', '_')) WHEN 'finished' THEN false WHEN 'finished_with_errors' THEN true END AS with_errors
FROM partner_center.device_batches b
JOIN (
    SELECT h.customer_id, h.batch_id,
           CASE WHEN bool_or(h.not_before IS NULL) THEN min(h.valid_from) END AS first_seen_at, -- else that version was pruned
           min(ARRAY[h.valid_from, h.creation_date]) FILTER (
               WHERE lower(replace(h.status, '-', '_')) IN ('finished', 'finished_with_errors')) AS terminal
    FROM partner_center.device_batch_history h
    GROUP BY h.customer_id, h.batch_id
) t ON t.customer_id = b.customer_id AND t.batch_id = b.batch_id
CROSS JOIN LATERAL (SELECT CASE WHEN t.terminal[1] > t.first_seen_at THEN t.terminal[1] END AS finished_at) f
CROSS JOIN LATERAL (SELECT CASE WHEN f.finished_at IS NULL THEN b.creation_date ELSE t.terminal[2] END AS creation_date) c;
COMMENT ON VIEW partner_center.device_batch_turnaround IS
    'How long each batch took to finish, removed ones included. One that was finished when it was first seen has neither finished_at nor duration, and neither has one whose first version was pruned (partnersync prune), since an earlier finish may have been.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.creation_date IS 'As in device_batches, in the version that finished_at begins, since a name may be used again; in the current one where finished_at is null.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.first_seen_at IS 'When the batch was first observed; null if that version was pruned.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.finished_at IS
    'When the batch was first observed in a terminal status (finished, finished_with_errors); null unless it was seen in another one before, and where the first version was pruned.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.duration IS
    'From creation_date, or first_seen_at where that is unknown, to finished_at (interval), never negative; null where that is.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_turnaround.with_errors IS
    'Whether the present status is finished_with_errors; null while the batch is unfinished.';

-- +goose Down
DROP VIEW partner_center.device_batch_turnaround;
