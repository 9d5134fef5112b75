-- +goose Up
CREATE TABLE partner_center.customers (
    customer_id   uuid        PRIMARY KEY,
    partner       text        COLLATE "C" NOT NULL,
    company_name  text,
    domain        text,
    relationship  text,
    first_seen_at timestamptz NOT NULL,
    removed_at    timestamptz,
    pruned_before timestamptz,
    valid_from    timestamptz,
    not_before    timestamptz,
    first_listed_at timestamptz,
    devices_first_listed_at timestamptz
);
COMMENT ON TABLE partner_center.customers IS
    'The partners'' customers: those the API lists, but for relationships other than reseller, or those named in the configuration, the current version of each; names are as last seen. Earlier ones: customer_versions; both: customer_history.';
COMMENT ON COLUMN partner_center.customers.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.customers.partner IS 'The partner (a name in the configuration) that the customer belongs to.';
COMMENT ON COLUMN partner_center.customers.company_name IS 'companyProfile.companyName; null where the customer is only named in the configuration.';
COMMENT ON COLUMN partner_center.customers.domain IS 'companyProfile.domain.';
COMMENT ON COLUMN partner_center.customers.relationship IS 'relationshipToPartner, as received; null where the API gives none, or the customer is only named in the configuration.';
COMMENT ON COLUMN partner_center.customers.first_seen_at IS 'When the customer was first enumerated.';
COMMENT ON COLUMN partner_center.customers.removed_at IS
    'When the customer left the enumeration or the configuration; null while it is there. Its batches stay as they were.';
COMMENT ON COLUMN partner_center.customers.pruned_before IS
    'The versions of the customer, its batches, devices and policies that were superseded before this time were removed (partnersync prune), so that its history is complete from then on; null: from the beginning.';
COMMENT ON COLUMN partner_center.customers.valid_from IS 'When this version was first observed; null for the first, which holds from first_seen_at on.';
COMMENT ON COLUMN partner_center.customers.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.customers.first_listed_at IS
    'When the customer''s batches were first listed completely: what was there then is older than what partnersync knows, and not new. Null: not yet.';
COMMENT ON COLUMN partner_center.customers.devices_first_listed_at IS 'When the devices of one of its batches were first listed completely; null: not yet.';

CREATE TABLE partner_center.customer_versions (
    customer_id   uuid        NOT NULL,
    partner       text        COLLATE "C" NOT NULL,
    company_name  text,
    domain        text,
    relationship  text,
    valid_from    timestamptz NOT NULL,
    not_before    timestamptz,
    removed_at    timestamptz,
    valid_to      timestamptz NOT NULL CHECK (valid_to > valid_from),
    PRIMARY KEY (customer_id, valid_to)
);
COMMENT ON TABLE partner_center.customer_versions IS 'Superseded versions of customers. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON COLUMN partner_center.customer_versions.customer_id IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_versions.partner IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_versions.company_name IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_versions.domain IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_versions.relationship IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_versions.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.customer_versions.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.customer_versions.removed_at IS 'Set in a version in which the customer was not there: equal to valid_from.';
COMMENT ON COLUMN partner_center.customer_versions.valid_to IS 'When the next version was first observed: the version held from valid_from until just before this time.';

CREATE VIEW partner_center.customer_history AS
SELECT customer_id, partner, company_name, domain, relationship, coalesce(valid_from, first_seen_at) AS valid_from,
       NULL::timestamptz AS valid_to, true AS is_current, removed_at, not_before
FROM partner_center.customers
UNION ALL
SELECT customer_id, partner, company_name, domain, relationship, valid_from,
       valid_to, false, removed_at, not_before
FROM partner_center.customer_versions;
COMMENT ON VIEW partner_center.customer_history IS
    'Every version of every customer: when it came, left, returned, changed its name or its partner. A version holds at a time t if valid_from <= t AND (valid_to > t OR valid_to IS NULL); the versions of a customer neither overlap nor leave gaps. The oldest one is the first, unless it has a not_before: then earlier ones were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.customer_history.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.customer_history.partner IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_history.company_name IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_history.domain IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_history.relationship IS 'As in customers.';
COMMENT ON COLUMN partner_center.customer_history.valid_from IS 'When the version was first observed.';
COMMENT ON COLUMN partner_center.customer_history.valid_to IS
    'When the next version was first observed; null for the current one. What held at a time t: valid_from <= t AND (valid_to > t OR valid_to IS NULL).';
COMMENT ON COLUMN partner_center.customer_history.is_current IS 'Whether the version is the current one.';
COMMENT ON COLUMN partner_center.customer_history.removed_at IS 'Set in a version in which the customer was not there: equal to valid_from.';
COMMENT ON COLUMN partner_center.customer_history.not_before IS 'The change to the version happened after this time and not later than valid_from; null for the first.';

CREATE TABLE partnersync.partner_state (
    partner        text   COLLATE "C" PRIMARY KEY,
    owner          uuid,
    lease_epoch    bigint NOT NULL DEFAULT 0,
    observed_at    timestamptz,
    observed_pages integer NOT NULL DEFAULT 0,
    confirmed_at   timestamptz,
    confirmed_pages integer NOT NULL DEFAULT 0,
    held_customers text[],
    held_run       bigint,
    next_tick      timestamptz,
    urgent_round   interval,
    round          interval
);
COMMENT ON TABLE partnersync.partner_state IS 'The claim on each partner''s enumeration of customers, and what it left behind.';
COMMENT ON COLUMN partnersync.partner_state.partner IS 'The partner''s name in the configuration.';
COMMENT ON COLUMN partnersync.partner_state.owner IS 'The worker that is enumerating; null: nobody.';
COMMENT ON COLUMN partnersync.partner_state.lease_epoch IS 'The fencing token: incremented by each claim; a write under an older one is refused.';
COMMENT ON COLUMN partnersync.partner_state.observed_at IS 'When the last enumeration that was merged was observed.';
COMMENT ON COLUMN partnersync.partner_state.observed_pages IS 'How many pages that enumeration had; 0: it was not complete.';
COMMENT ON COLUMN partnersync.partner_state.confirmed_at IS 'When the last complete one before it that held nobody back was observed.';
COMMENT ON COLUMN partnersync.partner_state.confirmed_pages IS 'How many pages that enumeration had: one of several may have missed a customer.';
COMMENT ON COLUMN partnersync.partner_state.held_customers IS 'Customers that the last complete enumeration lacked, held back by the mass removal guard.';
COMMENT ON COLUMN partnersync.partner_state.held_run IS 'The run of that enumeration; a later one may confirm it.';
COMMENT ON COLUMN partnersync.partner_state.next_tick IS 'The tick after the last scheduled pass; null: there was none.';
COMMENT ON COLUMN partnersync.partner_state.urgent_round IS 'How often the partner''s urgent customers are read, as of that pass.';
COMMENT ON COLUMN partnersync.partner_state.round IS 'How often its other customers are read at the rate that there is, as of that pass.';

CREATE TABLE partnersync.customer_state (
    customer_id           uuid    PRIMARY KEY,
    partner               text    COLLATE "C" NOT NULL,
    active                boolean NOT NULL DEFAULT true,
    -- What a claim and a result change stands together: an update logs only what lies between the first and the last change.
    lease_epoch           bigint  NOT NULL DEFAULT 0,
    owner                 uuid,
    last_success_at       timestamptz,
    last_attempt_at       timestamptz,
    consecutive_failures  integer NOT NULL DEFAULT 0,
    reread                boolean NOT NULL DEFAULT false,
    devices_due_at        timestamptz,
    devices_refresh       interval,
    lists_due             integer NOT NULL DEFAULT 0,
    lists_failing         integer NOT NULL DEFAULT 0,
    lists_refused         integer NOT NULL DEFAULT 0,
    unfinished_at         timestamptz,
    changed_at            timestamptz,
    failing_since         timestamptz,
    last_error_code       text,
    last_error            text,
    last_request_id       text,
    last_correlation_id   text
) WITH (fillfactor = 50);
-- Only columns that no claim changes are indexed, so that claims and results are heap-only updates.
CREATE INDEX customer_state_by_partner ON partnersync.customer_state (partner, customer_id);
COMMENT ON TABLE partnersync.customer_state IS 'The claim on each customer, and how its last attempts went.';
COMMENT ON COLUMN partnersync.customer_state.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.customer_state.partner IS 'As in partner_center.customers.';
COMMENT ON COLUMN partnersync.customer_state.active IS 'False once the customer has left the enumeration or the configuration.';
COMMENT ON COLUMN partnersync.customer_state.owner IS 'The worker that has claimed the customer; null: nobody.';
COMMENT ON COLUMN partnersync.customer_state.lease_epoch IS 'The fencing token: incremented by each claim; a write under an older one is refused.';
COMMENT ON COLUMN partnersync.customer_state.last_attempt_at IS 'When a list of the customer was last merged, or the customer failed. A success later than that is an attempt too.';
COMMENT ON COLUMN partnersync.customer_state.last_success_at IS 'When the customer''s batches, and its policies where they were due, were last read and merged as a whole.';
COMMENT ON COLUMN partnersync.customer_state.consecutive_failures IS 'Failed attempts since the last without a failure.';
COMMENT ON COLUMN partnersync.customer_state.reread IS 'The batch list has to be read again at once, since the tick cut the customer''s turn off, or a batch vanished between its listing and that of its devices.';
COMMENT ON COLUMN partnersync.customer_state.failing_since IS 'When the first of those failed.';
COMMENT ON COLUMN partnersync.customer_state.last_error_code IS 'Code of the last failure; null after a success.';
COMMENT ON COLUMN partnersync.customer_state.last_error IS 'The last failure in words; null after a success.';
COMMENT ON COLUMN partnersync.customer_state.last_request_id IS 'MS-RequestId of the last failure; null after a success.';
COMMENT ON COLUMN partnersync.customer_state.last_correlation_id IS 'MS-CorrelationId of the last failure; null after a success.';
COMMENT ON COLUMN partnersync.customer_state.devices_due_at IS 'When the first of the customer''s device lists has to be read again, or earlier; null if it has none.';
COMMENT ON COLUMN partnersync.customer_state.lists_due IS 'Device lists that were still due, or due in each pass, when they were last gone through.';
COMMENT ON COLUMN partnersync.customer_state.lists_failing IS 'Device lists whose last read failed.';
COMMENT ON COLUMN partnersync.customer_state.lists_refused IS 'Those of them that the API refuses lastingly, which is no failure of the customer.';
COMMENT ON COLUMN partnersync.customer_state.unfinished_at IS 'valid_from of the newest current version of a batch in no terminal status; null: there is none.';
COMMENT ON COLUMN partnersync.customer_state.changed_at IS 'When a listing of the customer last opened a version, first listings aside; null: none has.';
COMMENT ON COLUMN partnersync.customer_state.devices_refresh IS 'The setting of the same name that devices_due_at was computed with; null: never computed.';

CREATE TABLE partnersync.customer_runs (
    customer_id  uuid    NOT NULL,
    kind         text    COLLATE "C" NOT NULL CHECK (kind IN ('scheduled', 'once', 'backfill')),
    run_id       bigint  NOT NULL,
    outcome      text    COLLATE "C" NOT NULL CHECK (outcome IN ('ok', 'failed')),
    devices_left boolean NOT NULL DEFAULT false,
    PRIMARY KEY (customer_id, kind)
) WITH (fillfactor = 50);
COMMENT ON TABLE partnersync.customer_runs IS 'The last run of each kind in which the customer had its turn.';
COMMENT ON COLUMN partnersync.customer_runs.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.customer_runs.kind IS 'As in runs.';
COMMENT ON COLUMN partnersync.customer_runs.run_id IS 'The run.';
COMMENT ON COLUMN partnersync.customer_runs.outcome IS 'How that run counts the customer.';
COMMENT ON COLUMN partnersync.customer_runs.devices_left IS 'More of the customer''s device lists were due than are read in one turn.';

CREATE TABLE partnersync.contested_customers (
    customer_id          uuid    NOT NULL,
    partner              text    COLLATE "C" NOT NULL,
    company_name         text,
    last_attempt_at      timestamptz NOT NULL,
    consecutive_failures integer NOT NULL DEFAULT 1,
    failing_since        timestamptz NOT NULL,
    last_error           text    NOT NULL,
    PRIMARY KEY (customer_id, partner)
);
COMMENT ON TABLE partnersync.contested_customers IS 'Customers that a second partner lists too: nothing of them is read for that one.';
COMMENT ON COLUMN partnersync.contested_customers.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.contested_customers.partner IS 'The second partner.';
COMMENT ON COLUMN partnersync.contested_customers.company_name IS 'As the second partner lists it.';
COMMENT ON COLUMN partnersync.contested_customers.last_attempt_at IS 'When the second partner last listed it.';
COMMENT ON COLUMN partnersync.contested_customers.consecutive_failures IS 'In how many runs in a row.';
COMMENT ON COLUMN partnersync.contested_customers.failing_since IS 'Since when.';
COMMENT ON COLUMN partnersync.contested_customers.last_error IS 'In words, with both partners'' names.';

-- +goose Down
DROP TABLE partnersync.contested_customers;
DROP TABLE partnersync.customer_runs;
DROP TABLE partnersync.customer_state;
DROP TABLE partnersync.partner_state;
DROP VIEW partner_center.customer_history;
DROP TABLE partner_center.customer_versions;
DROP TABLE partner_center.customers;
