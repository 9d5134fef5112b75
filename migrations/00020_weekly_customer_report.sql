-- The joins with moves name the key that both sides of a move have in common, though its other columns say enough: by that the
-- few moves of a customer's few arrivals are found through indexes, without all moves of all customers.

-- +goose Up
CREATE VIEW partner_center.first_device_listings AS
SELECT customer_id, batch_id, first_confirmed_at AS first_listed_at
FROM partnersync.list_state
WHERE resource = 'devices';
COMMENT ON VIEW partner_center.first_device_listings IS
    'When the devices of each batch were first listed completely, also of batches that are gone; partnersync prune removes none.';
COMMENT ON COLUMN partner_center.first_device_listings.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.first_device_listings.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.first_device_listings.first_listed_at IS
    'When its devices were first listed completely: what was there then is older than what partnersync knows, and not new. Null: not yet.';

-- +goose StatementBegin
CREATE FUNCTION partner_center.customer_report_between(first timestamptz, next timestamptz)
RETURNS TABLE (
    customer_id uuid, partner text, company_name text,
    batches_begun bigint, batches_finished bigint, batches_finished_with_errors bigint, batches_unfinished bigint,
    devices_added bigint, devices_moved bigint, devices_gone bigint,
    time_to_finish_median interval, time_to_finish_p90 interval, last_success_at timestamptz,
    time_to_finish_median_seconds double precision, time_to_finish_p90_seconds double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.customer_id, c.partner, c.company_name,
           coalesce(r.begun, 0), coalesce(r.finished, 0), coalesce(r.with_errors, 0), coalesce(r.unfinished, 0),
           coalesce(a.added, 0), coalesce(a.moved, 0), coalesce(g.gone, 0),
           r.median, r.p90, f.last_success_at,
           extract(epoch FROM r.median)::double precision, extract(epoch FROM r.p90)::double precision
    FROM (
        -- Customers that were there at any time of it, as they were at the last.
        SELECT DISTINCT ON (h.customer_id) h.customer_id, h.partner, h.company_name
        FROM partner_center.customer_history h
        JOIN partner_center.customers k ON k.customer_id = h.customer_id
        WHERE h.removed_at IS NULL AND h.valid_from < next AND (h.valid_to > first OR h.valid_to IS NULL)
          AND (k.pruned_before <= first OR k.pruned_before IS NULL)
        ORDER BY h.customer_id, h.valid_from DESC
    ) c
    LEFT JOIN (
        SELECT s.customer_id,
               count(*) FILTER (WHERE s.begun AND s.begin_seen) AS begun,
               count(*) FILTER (WHERE s.finished) AS finished,
               count(*) FILTER (WHERE s.finished AND lower(s.outcome COLLATE "C") <> 'finished') AS with_errors,
               count(*) FILTER (WHERE s.unfinished) AS unfinished,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration) FILTER (WHERE s.finished AND s.begin_seen) AS median,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY s.duration) FILTER (WHERE s.finished AND s.begin_seen) AS p90
        FROM (
            SELECT b.customer_id, b.begin_seen, b.outcome, b.duration,
                   b.began_by >= first AND b.began_by < next AS begun,
                   b.finished_by >= first AND b.finished_by < next AS finished,
                   (b.began_by < next OR b.began_by IS NULL) AND (b.finished_by >= next OR b.finished_by IS NULL) AS unfinished
            FROM partner_center.device_batch_rounds b
        ) s
        GROUP BY s.customer_id
    ) r ON r.customer_id = c.customer_id
    LEFT JOIN (
        -- What was there in the customer's first listing: what the first complete list of a batch had that had devices then.
        SELECT d.customer_id,
               count(*) FILTER (WHERE m.customer_id IS NOT NULL) AS moved,
               count(*) FILTER (WHERE m.customer_id IS NULL AND d.not_before IS NULL
                                  AND NOT (b.customer_id IS NOT NULL AND d.valid_from <= coalesce(l.first_listed_at, 'infinity'))) AS added
        FROM partner_center.device_history d
        JOIN partner_center.customers k ON k.customer_id = d.customer_id
        LEFT JOIN partner_center.first_device_listings l ON l.customer_id = d.customer_id AND l.batch_id = d.batch_id
        LEFT JOIN partner_center.device_batch_history b
               ON b.customer_id = d.customer_id AND b.batch_id = d.batch_id AND b.not_before IS NULL
              AND b.valid_from <= coalesce(k.first_listed_at, 'infinity') AND b.devices_count IS DISTINCT FROM 0
        LEFT JOIN partner_center.device_moves m
               ON m.to_customer_id = d.customer_id AND m.to_batch_id = d.batch_id AND m.to_device_id = d.device_id
              AND m.arrived_by = d.valid_from
              AND (m.serial_key = upper(btrim(d.serial_number)) COLLATE "C"
                   OR m.device_id = d.device_id AND coalesce(m.serial_key, '') = '')
        WHERE d.removed_at IS NULL AND d.valid_from >= first AND d.valid_from < next
        GROUP BY d.customer_id
    ) a ON a.customer_id = c.customer_id
    LEFT JOIN (
        SELECT d.customer_id, count(*) AS gone
        FROM partner_center.device_history d
        LEFT JOIN partner_center.device_moves m
               ON m.customer_id = d.customer_id AND m.batch_id = d.batch_id AND m.device_id = d.device_id
              AND m.left_by = d.valid_from
        WHERE d.removed_at IS NOT NULL AND m.customer_id IS NULL AND d.valid_from >= first AND d.valid_from < next
        GROUP BY d.customer_id
    ) g ON g.customer_id = c.customer_id
    LEFT JOIN partner_center.freshness_as_of(next) f ON f.customer_id = c.customer_id;
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.customer_report_between(timestamptz, timestamptz) IS
    'What weekly_customer_report says, of any other time: from the first time until just before the next, such as a month: select * from partner_center.customer_report_between(''2026-01-01Z'', ''2026-02-01Z'').';

-- +goose StatementBegin
CREATE FUNCTION partner_center.weekly_customer_report(week date)
RETURNS TABLE (
    customer_id uuid, partner text, company_name text,
    batches_begun bigint, batches_finished bigint, batches_finished_with_errors bigint, batches_unfinished bigint,
    devices_added bigint, devices_moved bigint, devices_gone bigint,
    time_to_finish_median interval, time_to_finish_p90 interval, last_success_at timestamptz,
    time_to_finish_median_seconds double precision, time_to_finish_p90_seconds double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT r.customer_id, r.partner, r.company_name,
           r.batches_begun, r.batches_finished, r.batches_finished_with_errors, r.batches_unfinished,
           r.devices_added, r.devices_moved, r.devices_gone,
           r.time_to_finish_median, r.time_to_finish_p90, r.last_success_at,
           r.time_to_finish_median_seconds, r.time_to_finish_p90_seconds
    FROM partner_center.customer_report_between(
        date_trunc('week', week::timestamp) AT TIME ZONE 'UTC',
        (date_trunc('week', week::timestamp) + interval '7 days') AT TIME ZONE 'UTC') r;
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.weekly_customer_report(date) IS
    'What an account manager mails to a customer: the week that the day is in, Monday to Sunday in UTC: select * from partner_center.weekly_customer_report(current_date - 7). One row, with zeros, for each customer that was there at any time of the week, with its last partner and name in it. batches_begun: rounds (device_batch_rounds) of which the begin was seen, in the week; batches_finished: rounds that finished in it, and batches_finished_with_errors those of them that ended so; batches_unfinished: rounds open at its end, also of batches that are gone. devices_added: devices seen for the first time, without those that moved (device_moves) and without those that were there in the customer''s first listing; devices_moved: devices that arrived from another batch or customer; devices_gone: devices removed, without those that moved. time_to_finish_median and time_to_finish_p90: of the rounds finished in the week of which the begin was seen (intervals; their twins in seconds come last); null where there is none. last_success_at: as freshness_as_of at the end of the week; null where the customer was not there then. For a customer whose history was pruned there are no rows of weeks that began before customers.pruned_before, and a device that had left elsewhere before then counts as added.';

-- +goose Down
DROP FUNCTION partner_center.weekly_customer_report(date);
DROP FUNCTION partner_center.customer_report_between(timestamptz, timestamptz);
DROP VIEW partner_center.first_device_listings;
