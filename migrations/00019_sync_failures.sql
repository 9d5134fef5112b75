-- +goose Up
CREATE TABLE partnersync.sync_failures (
    customer_id      uuid        NOT NULL,
    partner          text        COLLATE "C" NOT NULL,
    failing_since    timestamptz NOT NULL,
    failing_until    timestamptz,
    recovered_run    bigint,
    last_success_at  timestamptz,
    passes           integer     NOT NULL DEFAULT 1,
    error_code       text,
    error            text,
    first_request_id text,
    last_request_id  text,
    PRIMARY KEY (customer_id, partner, failing_since)
);
-- A customer fails once at a time under a partner.
CREATE UNIQUE INDEX sync_failures_open ON partnersync.sync_failures (customer_id, partner) WHERE failing_until IS NULL;
COMMENT ON TABLE partnersync.sync_failures IS 'The periods in which customers failed, kept as long as runs. Analysts read partner_center.sync_failures.';
COMMENT ON COLUMN partnersync.sync_failures.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.sync_failures.partner IS 'The partner under which it failed.';
COMMENT ON COLUMN partnersync.sync_failures.failing_since IS 'When the first pass on it failed.';
COMMENT ON COLUMN partnersync.sync_failures.failing_until IS 'When the first pass after that succeeded, or the customer left the partner; null while it fails.';
COMMENT ON COLUMN partnersync.sync_failures.recovered_run IS 'The run that succeeded then; null: none did.';
COMMENT ON COLUMN partnersync.sync_failures.last_success_at IS 'customer_state.last_success_at as it was before failing_since.';
COMMENT ON COLUMN partnersync.sync_failures.passes IS 'Passes that failed.';
COMMENT ON COLUMN partnersync.sync_failures.error_code IS 'Code of the last failure.';
COMMENT ON COLUMN partnersync.sync_failures.error IS 'The last failure in words.';
COMMENT ON COLUMN partnersync.sync_failures.first_request_id IS 'MS-RequestId of the first failure.';
COMMENT ON COLUMN partnersync.sync_failures.last_request_id IS 'MS-RequestId of the last failure.';

CREATE VIEW partner_center.sync_failures AS
SELECT customer_id, partner, failing_since, failing_until, passes, error_code, error, first_request_id, last_request_id,
       recovered_run IS NOT NULL AS recovered, last_success_at
FROM partnersync.sync_failures;
COMMENT ON VIEW partner_center.sync_failures IS
    'The periods in which each customer failed, from the first pass that did to the first that succeeded. Kept as long as runs (keep_runs); partnersync prune removes none. A customer that two partners list fails under the second for as long.';
COMMENT ON COLUMN partner_center.sync_failures.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.sync_failures.partner IS 'The partner (a name in the configuration) under which the customer failed.';
COMMENT ON COLUMN partner_center.sync_failures.failing_since IS 'When the first pass on the customer failed.';
COMMENT ON COLUMN partner_center.sync_failures.failing_until IS 'When the first pass after that succeeded, or the customer left, also for another partner; null while it fails.';
COMMENT ON COLUMN partner_center.sync_failures.passes IS 'How many runs, of every kind, failed on the customer in the period, those included that held a list back.';
COMMENT ON COLUMN partner_center.sync_failures.error_code IS 'Why the last of them failed: the API''s own code, else http_503 and the like, else a word of partnersync such as mass_removal_held.';
COMMENT ON COLUMN partner_center.sync_failures.error IS 'The last failure in words.';
COMMENT ON COLUMN partner_center.sync_failures.first_request_id IS 'MS-RequestId of the first failure, to quote to Microsoft''s support; null where no single request failed.';
COMMENT ON COLUMN partner_center.sync_failures.last_request_id IS 'MS-RequestId of the last failure, likewise.';
COMMENT ON COLUMN partner_center.sync_failures.recovered IS 'True where the period ended with a success; false while it lasts, and where the customer left.';
COMMENT ON COLUMN partner_center.sync_failures.last_success_at IS 'sync_freshness.last_success_at as it was before the period: the customer was last read as a whole then; null: never.';

-- +goose StatementBegin
CREATE FUNCTION partner_center.freshness_as_of(at timestamptz)
RETURNS TABLE (
    customer_id uuid, partner text, last_success_at timestamptz, age interval, failing_since timestamptz, error_code text,
    age_seconds double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT s.customer_id, s.partner, s.last_success_at, s.known_at - s.last_success_at, s.failing_since, s.error_code,
           extract(epoch FROM s.known_at - s.last_success_at)::double precision
    FROM (
        SELECT c.customer_id, c.partner, f.failing_since, f.error_code, least(at, now()) AS known_at,
               CASE WHEN f.customer_id IS NOT NULL THEN f.last_success_at
                    WHEN b.recovered THEN b.failing_until
                    WHEN b.customer_id IS NOT NULL THEN b.last_success_at
                    WHEN p.customer_id IS NOT NULL THEN r.finished_at
               END AS last_success_at
        FROM partner_center.customer_history c
        LEFT JOIN partner_center.sync_failures f -- at that time
               ON f.customer_id = c.customer_id AND f.partner = c.partner
              AND f.failing_since <= at AND (f.failing_until > at OR f.failing_until IS NULL)
        LEFT JOIN LATERAL (
            SELECT n.finished_at
            FROM partner_center.sync_runs n
            WHERE n.partner = c.partner AND n.read_all_customers AND n.finished_at <= at
            ORDER BY n.finished_at DESC
            LIMIT 1
        ) r ON true
        LEFT JOIN partner_center.sync_failures b -- before that time, when the last run that read all customers ended
               ON b.customer_id = c.customer_id AND b.partner = c.partner
              AND b.failing_since <= r.finished_at AND (b.failing_until > r.finished_at OR b.failing_until IS NULL)
        LEFT JOIN partner_center.customer_history p -- it was there, when that run ended
               ON p.customer_id = c.customer_id AND p.partner = c.partner AND p.removed_at IS NULL
              AND p.valid_from <= r.finished_at AND (p.valid_to > r.finished_at OR p.valid_to IS NULL)
        WHERE c.valid_from <= at AND (c.valid_to > at OR c.valid_to IS NULL) AND c.removed_at IS NULL
    ) s;
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.freshness_as_of(timestamptz) IS
    'How fresh the data of each customer was that was there at that time: select * from partner_center.freshness_as_of(''2026-01-31 18:00Z''). last_success_at is, of a customer that was failing then, when it was last read as a whole before it failed (failing_since and error_code, the period''s last one, are as in sync_failures); of the others, the end of the last run of their partner that was over by then and had read all its customers (sync_runs.read_all_customers), or if the customer failed in that one, the success since; null: there was none, or the customer has joined or returned since, or what tells of it is no longer kept (keep_runs, partnersync prune). age is the time from last_success_at to that time, at most until now; age_seconds the same in seconds.';

-- +goose Down
DROP FUNCTION partner_center.freshness_as_of(timestamptz);
DROP VIEW partner_center.sync_failures;
DROP TABLE partnersync.sync_failures;
