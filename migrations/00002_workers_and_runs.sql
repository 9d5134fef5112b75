-- +goose Up
CREATE TABLE partnersync.workers (
    worker_id    uuid        PRIMARY KEY,
    host         text        NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    lease        interval    NOT NULL DEFAULT '1 minute'
);
COMMENT ON TABLE partnersync.workers IS 'Running processes. One whose heartbeat is older than the lease has lost its claims.';
COMMENT ON COLUMN partnersync.workers.worker_id IS 'Chosen anew by each process.';
COMMENT ON COLUMN partnersync.workers.host IS 'Name of the machine, for people.';
COMMENT ON COLUMN partnersync.workers.version IS 'Version of partnersync, for people.';
COMMENT ON COLUMN partnersync.workers.started_at IS 'When the process registered.';
COMMENT ON COLUMN partnersync.workers.heartbeat_at IS 'When the process last sent a heartbeat, by the database''s clock.';
COMMENT ON COLUMN partnersync.workers.lease IS 'How long the process keeps its claims without a heartbeat.';

CREATE VIEW partnersync.live_workers AS
SELECT worker_id
FROM partnersync.workers
WHERE heartbeat_at > clock_timestamp() - lease AND heartbeat_at < clock_timestamp() + lease;
COMMENT ON VIEW partnersync.live_workers IS 'Processes whose heartbeat is younger than their lease: their claims hold. One further ahead than the lease counts as none: the clock was set back.';
COMMENT ON COLUMN partnersync.live_workers.worker_id IS 'As in workers.';

CREATE TABLE partnersync.runs (
    run_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partner         text        COLLATE "C" NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('scheduled', 'once', 'backfill')),
    filter          text        NOT NULL DEFAULT '',
    customers       uuid[],
    scheduled_for   timestamptz NOT NULL,
    started_at      timestamptz NOT NULL,
    enumerated_at   timestamptz,
    finished_at     timestamptz,
    state           text        NOT NULL DEFAULT 'running'
                    CHECK (state IN ('running', 'complete', 'partial', 'failed', 'abandoned')),
    customers_total integer     NOT NULL DEFAULT 0,
    read_all_customers boolean  NOT NULL DEFAULT false,
    error           text
);
-- One scheduled run of a partner is open at a time; replicas join it.
CREATE UNIQUE INDEX runs_one_scheduled_open ON partnersync.runs (partner) WHERE kind = 'scheduled' AND state = 'running';
CREATE INDEX runs_by_partner ON partnersync.runs (partner, kind, run_id);
-- Whether a tick is done is asked each time that one comes.
CREATE INDEX runs_by_tick ON partnersync.runs (partner, scheduled_for) WHERE kind = 'scheduled';
-- Those whose workers may be gone are looked for each time that a run opens.
CREATE INDEX runs_open ON partnersync.runs (partner) WHERE state = 'running';
-- The last that has read all customers by a time is looked for by freshness_as_of.
CREATE INDEX runs_by_end ON partnersync.runs (partner, finished_at) WHERE read_all_customers;
COMMENT ON TABLE partnersync.runs IS 'Passes over one partner''s customers. Analysts read partner_center.sync_runs.';
COMMENT ON COLUMN partnersync.runs.run_id IS 'Grows with time.';
COMMENT ON COLUMN partnersync.runs.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.runs.kind IS 'scheduled: a tick of the daemon; once: --once; backfill: --backfill.';
COMMENT ON COLUMN partnersync.runs.filter IS 'What the run was narrowed down to on the command line: partners, customers, the batches whose devices are read; empty for everything. A backfill is resumed under the same filter only.';
COMMENT ON COLUMN partnersync.runs.customers IS 'The only customers of a restricted run; null: all of the partner''s.';
COMMENT ON COLUMN partnersync.runs.scheduled_for IS 'The tick; for other runs when they were asked for.';
COMMENT ON COLUMN partnersync.runs.started_at IS 'When the run was opened.';
COMMENT ON COLUMN partnersync.runs.enumerated_at IS 'When the partner''s customers were settled for this run; null until then.';
COMMENT ON COLUMN partnersync.runs.finished_at IS 'When the run ended; null while it is running.';
COMMENT ON COLUMN partnersync.runs.state IS 'running, complete (no customer failed), partial (some did), failed (some did and none was ok, or there was none), abandoned (stopped before its end).';
COMMENT ON COLUMN partnersync.runs.customers_total IS 'Customers of the run, those contested by another partner included.';
COMMENT ON COLUMN partnersync.runs.read_all_customers IS 'The run is over and has read all of the partner''s customers, but for those that failed: it was not restricted, and left none for later.';
COMMENT ON COLUMN partnersync.runs.error IS 'What went wrong with the run as a whole, such as the enumeration of customers.';

CREATE TABLE partnersync.run_workers (
    run_id        bigint NOT NULL REFERENCES partnersync.runs ON DELETE CASCADE,
    worker_id     uuid   NOT NULL,
    progressed_at timestamptz,
    PRIMARY KEY (run_id, worker_id)
);
COMMENT ON TABLE partnersync.run_workers IS 'Which processes take part in a run.';
COMMENT ON COLUMN partnersync.run_workers.run_id IS 'The run.';
COMMENT ON COLUMN partnersync.run_workers.worker_id IS 'The process; it may be gone.';
COMMENT ON COLUMN partnersync.run_workers.progressed_at IS 'When the process last said, with a heartbeat, that it had received a page of the API for the run or recorded a result; null: not yet.';

CREATE TABLE partnersync.run_counts (
    run_id           bigint   NOT NULL REFERENCES partnersync.runs ON DELETE CASCADE,
    shard            smallint NOT NULL,
    customers_ok     integer  NOT NULL DEFAULT 0,
    customers_failed integer  NOT NULL DEFAULT 0,
    inserted         bigint   NOT NULL DEFAULT 0,
    changed          bigint   NOT NULL DEFAULT 0,
    removed          bigint   NOT NULL DEFAULT 0,
    unchanged        bigint   NOT NULL DEFAULT 0,
    requests         bigint   NOT NULL DEFAULT 0,
    retries          bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, shard)
) WITH (fillfactor = 50);
COMMENT ON TABLE partnersync.run_counts IS
    'Counts of a run, written in the transactions that did what they count. A few rows a run, so that those transactions need not wait for each other.';
COMMENT ON COLUMN partnersync.run_counts.run_id IS 'The run.';
COMMENT ON COLUMN partnersync.run_counts.shard IS 'Any small number; the counts of a run are the sums over it.';
COMMENT ON COLUMN partnersync.run_counts.customers_ok IS 'Customers all of whose lists were read and merged.';
COMMENT ON COLUMN partnersync.run_counts.customers_failed IS 'Customers of whom any list failed or was held.';
COMMENT ON COLUMN partnersync.run_counts.inserted IS 'Rows of all resources: first versions.';
COMMENT ON COLUMN partnersync.run_counts.changed IS 'Later versions that are no removals; returns count here.';
COMMENT ON COLUMN partnersync.run_counts.removed IS 'Removals.';
COMMENT ON COLUMN partnersync.run_counts.unchanged IS 'Rows that were listed and no different.';
COMMENT ON COLUMN partnersync.run_counts.requests IS 'HTTP attempts.';
COMMENT ON COLUMN partnersync.run_counts.retries IS 'HTTP attempts after the first of a request.';

-- +goose Down
DROP TABLE partnersync.run_counts;
DROP TABLE partnersync.run_workers;
DROP TABLE partnersync.runs;
DROP VIEW partnersync.live_workers;
DROP TABLE partnersync.workers;
