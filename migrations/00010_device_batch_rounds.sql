-- Both views go through the versions of each batch in their order: the inner query keeps those that begin something, and the
-- outer one looks up where the next of them begins. A version without a predecessor is the first only if it has no not_before:
-- else those before it were pruned, and when what it is in began is not known. A removed version has what was last known of the
-- batch, so that rounds need no exception for it.
--
-- Speed: no index is in the order of batch_id and customer_id, so that the planner sorts all versions in one go. In the order of
-- the keys it would fetch them one by one through the index, which takes twice as long, and on a cold disk many times.

-- +goose Up
CREATE VIEW partner_center.device_batch_rounds AS
SELECT r.customer_id, r.batch_id, r.round, r.began_after, r.began_by, r.finished_after, r.finished_by,
       r.finished_by - r.began_by AS duration,
       r.outcome, r.devices_count,
       CASE WHEN r.finished_by IS NULL THEN b.removed_at END AS removed_by,
       r.follows OR coalesce(r.began_by > c.first_listed_at, false) AS begin_seen,
       extract(epoch FROM r.finished_by - r.began_by)::double precision AS duration_seconds,
       partner_center.batch_key(r.customer_id, r.batch_id) AS batch_key
FROM (
    SELECT e.customer_id, e.batch_id, e.is_finished, e.follows,
           count(*) FILTER (WHERE NOT e.is_finished) OVER w AS round,
           CASE WHEN e.follows THEN e.not_before END AS began_after,
           CASE WHEN e.follows OR e.not_before IS NULL THEN e.valid_from END AS began_by,
           lead(e.not_before) OVER w AS finished_after,
           lead(e.valid_from) OVER w AS finished_by,
           lead(e.status) OVER w AS outcome,
           lead(e.devices_count) OVER w AS devices_count
    FROM (
        SELECT v.customer_id, v.batch_id, v.status, v.devices_count, v.not_before, v.valid_from, v.is_finished,
               v.was_finished IS NOT NULL AS follows
        FROM (
            SELECT h.customer_id, h.batch_id, h.status, h.devices_count, h.not_before, h.valid_from,
                   partner_center.is_finished(h.status) AS is_finished,
                   lag(partner_center.is_finished(h.status)) OVER w AS was_finished
            FROM partner_center.device_batch_history h
            WINDOW w AS (PARTITION BY h.batch_id, h.customer_id ORDER BY h.valid_from)
        ) v
        WHERE v.is_finished IS DISTINCT FROM v.was_finished
    ) e
    WINDOW w AS (PARTITION BY e.batch_id, e.customer_id ORDER BY e.valid_from)
) r
JOIN partner_center.customers c ON c.customer_id = r.customer_id
JOIN partner_center.device_batches b ON b.customer_id = r.customer_id AND b.batch_id = r.batch_id
WHERE NOT r.is_finished;
COMMENT ON VIEW partner_center.device_batch_rounds IS
    'One row for each round of a batch, from unfinished to finished (is_finished): a batch to which devices are added is processed again. A round begins with the batch''s first version, if that is unfinished, or when the batch is unfinished after it was finished; a change from one terminal status to another begins none, and neither does a batch that is found finished. A removal ends no round, and neither does the customer''s leaving; a batch that returns finished has finished by then. Of versions that were pruned (partnersync prune) no round is shown, and of one that began with them the begin is null.';
COMMENT ON COLUMN partner_center.device_batch_rounds.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_rounds.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_rounds.round IS 'The rounds of the batch in their order, from 1; of a batch whose history was pruned, from the first that is kept.';
COMMENT ON COLUMN partner_center.device_batch_rounds.began_after IS 'The round began after this time; null where it begins with the batch''s first version, or began with one that was pruned.';
COMMENT ON COLUMN partner_center.device_batch_rounds.began_by IS 'The round had begun by this time; null where it began with a version that was pruned.';
COMMENT ON COLUMN partner_center.device_batch_rounds.finished_after IS 'The batch finished after this time; null while it is unfinished.';
COMMENT ON COLUMN partner_center.device_batch_rounds.finished_by IS 'The batch had finished by this time: it was first seen in a terminal status then; null while it is unfinished.';
COMMENT ON COLUMN partner_center.device_batch_rounds.duration IS 'From began_by to finished_by (interval); null while the batch is unfinished, and where began_by is null.';
COMMENT ON COLUMN partner_center.device_batch_rounds.outcome IS 'The status that the batch finished in, as received; null while it is unfinished.';
COMMENT ON COLUMN partner_center.device_batch_rounds.devices_count IS 'As in device_batches, when the batch finished; null while it is unfinished.';
COMMENT ON COLUMN partner_center.device_batch_rounds.removed_by IS 'When the unfinished batch was first missed, while it is gone; else null.';
COMMENT ON COLUMN partner_center.device_batch_rounds.begin_seen IS
    'False where the round may have begun before we looked: the batch was there, unfinished, in the first complete listing of its customer (customers.first_listed_at), or the version that it began with was pruned. Where duration matters, ask for rounds of which it is true.';
COMMENT ON COLUMN partner_center.device_batch_rounds.duration_seconds IS 'duration in seconds.';
COMMENT ON COLUMN partner_center.device_batch_rounds.batch_key IS 'customer_id and batch_id as a single key (function batch_key).';

CREATE VIEW partner_center.device_batch_status_periods AS
SELECT t.customer_id, t.batch_id, t.status, t.began_after, t.began_by, t.ended_after, t.ended_by,
       coalesce(t.ended_by, now()) - t.began_by AS duration,
       extract(epoch FROM coalesce(t.ended_by, now()) - t.began_by)::double precision AS duration_seconds,
       partner_center.batch_key(t.customer_id, t.batch_id) AS batch_key
FROM (
    -- What of a batch's period lies in a time in which the customer was there.
    SELECT p.customer_id, p.batch_id, p.status,
           CASE WHEN c.since > p.since THEN c.began_after ELSE p.began_after END AS began_after,
           CASE WHEN c.since > p.since THEN c.began_by ELSE p.began_by END AS began_by,
           CASE WHEN c.left_by < coalesce(p.ended_by, 'infinity') THEN c.left_after ELSE p.ended_after END AS ended_after,
           CASE WHEN c.left_by < coalesce(p.ended_by, 'infinity') THEN c.left_by ELSE p.ended_by END AS ended_by
    FROM (
        SELECT e.customer_id, e.batch_id, e.status, e.is_removed, e.valid_from AS since,
               CASE WHEN e.follows THEN e.not_before END AS began_after,
               CASE WHEN e.follows OR e.not_before IS NULL THEN e.valid_from END AS began_by,
               lead(e.not_before) OVER w AS ended_after,
               lead(e.valid_from) OVER w AS ended_by
        FROM (
            SELECT h.customer_id, h.batch_id, h.status, h.not_before, h.valid_from,
                   h.removed_at IS NOT NULL AS is_removed,
                   lag(h.valid_from) OVER w IS NOT NULL AS follows,
                   lag(h.removed_at) OVER w IS NOT NULL AS was_removed,
                   lag(h.status) OVER w AS status_before
            FROM partner_center.device_batch_history h
            WINDOW w AS (PARTITION BY h.batch_id, h.customer_id ORDER BY h.valid_from)
        ) e
        WHERE NOT e.follows OR e.is_removed <> e.was_removed OR e.status IS DISTINCT FROM e.status_before
        WINDOW w AS (PARTITION BY e.batch_id, e.customer_id ORDER BY e.valid_from)
    ) p
    JOIN (
        -- The times in which each customer was there, and between them those in which it was not; most have one.
        SELECT e.customer_id, e.is_removed,
               CASE WHEN e.follows OR e.not_before IS NOT NULL THEN e.valid_from ELSE '-infinity' END AS since,
               CASE WHEN e.follows THEN e.not_before END AS began_after,
               CASE WHEN e.follows THEN e.valid_from END AS began_by,
               lead(e.not_before) OVER w AS left_after,
               lead(e.valid_from) OVER w AS left_by
        FROM (
            SELECT h.customer_id, h.not_before, h.valid_from,
                   h.removed_at IS NOT NULL AS is_removed,
                   lag(h.valid_from) OVER w IS NOT NULL AS follows,
                   lag(h.removed_at) OVER w IS NOT NULL AS was_removed
            FROM partner_center.customer_history h
            WINDOW w AS (PARTITION BY h.customer_id ORDER BY h.valid_from)
        ) e
        WHERE NOT e.follows OR e.is_removed <> e.was_removed
        WINDOW w AS (PARTITION BY e.customer_id ORDER BY e.valid_from)
    ) c ON c.customer_id = p.customer_id AND NOT c.is_removed
       AND p.since < coalesce(c.left_by, 'infinity') AND c.since < coalesce(p.ended_by, 'infinity')
    WHERE NOT p.is_removed
) t;
COMMENT ON VIEW partner_center.device_batch_status_periods IS
    'One row for each time that a batch was in a status without a break, as for a Gantt chart: consecutive versions in the same status are one period. A removal ends it, and so does the customer''s leaving; a return begins another, even in the same status, so that no period covers a time in which the batch or the customer was gone. Of versions that were pruned (partnersync prune) no period is shown, and of one that began with them the begin is null.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.status IS 'The status, as in device_batches; null where the API gave none.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.began_after IS 'The period began after this time; null where it begins with the batch''s first version, or began with one that was pruned.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.began_by IS 'The period had begun by this time; null where it began with a version that was pruned.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.ended_after IS 'The period ended after this time; null while it lasts.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.ended_by IS
    'The period had ended by this time: the batch was seen in another status, or it or the customer was first missed; null while it lasts.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.duration IS 'From began_by to ended_by (interval), until now while the period lasts; null where began_by is null.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.duration_seconds IS 'duration in seconds.';
COMMENT ON COLUMN partner_center.device_batch_status_periods.batch_key IS 'customer_id and batch_id as a single key (function batch_key).';

-- +goose Down
DROP VIEW partner_center.device_batch_status_periods;
DROP VIEW partner_center.device_batch_rounds;
