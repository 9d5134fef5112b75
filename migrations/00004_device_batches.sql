-- +goose Up
-- Only ASCII letters have their case folded, whatever the database's locale.
-- +goose StatementBegin
CREATE FUNCTION partner_center.is_finished(status text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(replace(lower(status COLLATE "C"), '-', '_') IN ('finished', 'finished_with_errors'), false);
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.is_finished(text) IS
    'Whether a batch''s status is terminal: finished or finished_with_errors, in any case and with - as _. No status and unknown ones are not.';

-- +goose StatementBegin
CREATE FUNCTION partner_center.batch_key(customer_id uuid, batch_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN customer_id::text || '/' || batch_id;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.batch_key(uuid, text) IS
    'One value that identifies a batch, for tools that join by a single column: the customer, a slash and the batch.';

-- +goose StatementBegin
CREATE FUNCTION partner_center.device_key(customer_id uuid, batch_id text, device_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN customer_id::text || '/' || replace(replace(batch_id, '~', '~0'), '/', '~1') || '/' || device_id;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.device_key(uuid, text, text) IS
    'One value that identifies a device in a batch, for tools that join by a single column: the customer, a slash, the batch with ~ as ~0 and / as ~1, a slash, and the device.';

-- valid_from comes before all that varies in length, where it is found fastest: what changed in a week is found by reading all
-- current batches, since an index that each first load and each change had to write would cost more than it saved.
CREATE TABLE partner_center.device_batches (
    customer_id   uuid        NOT NULL,
    valid_from    timestamptz NOT NULL,
    batch_id      text        COLLATE "C" NOT NULL,
    status        text,
    created_by    text,
    creation_date timestamptz,
    devices_count integer,
    extra         jsonb       NOT NULL DEFAULT '{}',
    not_before    timestamptz,
    removed_at    timestamptz,
    PRIMARY KEY (customer_id, batch_id)
);
COMMENT ON TABLE partner_center.device_batches IS
    'Device batches (Windows Autopilot), the current version of each. Earlier ones: device_batch_versions; both: device_batch_history.';
COMMENT ON COLUMN partner_center.device_batches.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_batches.batch_id IS
    'id: the name that the uploader chose, in effect the Autopilot group tag. Case-sensitive. Over 1,000 bytes: the first 900, an ellipsis and the SHA-256.';
COMMENT ON COLUMN partner_center.device_batches.status IS 'status, exactly as received, such as queued, processing, finished, finished_with_errors; null if the API gave none.';
COMMENT ON COLUMN partner_center.device_batches.created_by IS 'createdBy: name of the tenant that created the batch.';
COMMENT ON COLUMN partner_center.device_batches.creation_date IS 'creationDate; a date without a zone is UTC.';
COMMENT ON COLUMN partner_center.device_batches.devices_count IS 'devicesCount (or deviceCount): number of devices in the batch.';
COMMENT ON COLUMN partner_center.device_batches.extra IS 'Fields that partnersync does not know, and values that did not fit their column, under their API names. A change here alone opens no version.';
COMMENT ON COLUMN partner_center.device_batches.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.device_batches.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.device_batches.removed_at IS 'When a complete listing first lacked the batch; the other columns keep what was last known. Null while it is listed.';

CREATE TABLE partner_center.device_batch_versions (
    customer_id   uuid        NOT NULL,
    valid_from    timestamptz NOT NULL,
    batch_id      text        COLLATE "C" NOT NULL,
    status        text,
    created_by    text,
    creation_date timestamptz,
    devices_count integer,
    extra         jsonb       NOT NULL DEFAULT '{}',
    not_before    timestamptz,
    removed_at    timestamptz,
    valid_to      timestamptz NOT NULL CHECK (valid_to > valid_from),
    -- A version's successor begins where it ends, so that each finds the other by equality.
    PRIMARY KEY (customer_id, batch_id, valid_to)
);
COMMENT ON TABLE partner_center.device_batch_versions IS 'Superseded versions of device batches. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON COLUMN partner_center.device_batch_versions.customer_id IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.batch_id IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.status IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.created_by IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.creation_date IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.devices_count IS 'As in device_batches.';
COMMENT ON COLUMN partner_center.device_batch_versions.extra IS 'As in device_batches, as it was when the version was superseded.';
COMMENT ON COLUMN partner_center.device_batch_versions.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.device_batch_versions.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.device_batch_versions.removed_at IS 'Set in a version in which the batch was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.device_batch_versions.valid_to IS 'When the next version was first observed: the version held from valid_from until just before this time.';

CREATE TABLE partnersync.list_state (
    customer_id  uuid    NOT NULL,
    resource     text    COLLATE "C" NOT NULL CHECK (resource IN ('device_batches', 'devices', 'configuration_policies')),
    batch_id     text    COLLATE "C" NOT NULL DEFAULT '',
    digest       bytea,
    -- What is written of an unchanged list stands together: an update logs only what lies between the first and the last change.
    observed_at  timestamptz,
    confirmed_at timestamptz,
    last_run     bigint,
    rows         integer NOT NULL DEFAULT 0,
    confirmed_pages     integer NOT NULL DEFAULT 0,
    held                text[],
    held_run     bigint,
    batch_status        text,
    batch_devices_count integer,
    stale_at            timestamptz,
    refusals            integer NOT NULL DEFAULT 0,
    error               text,
    received_id         bytea,
    first_confirmed_at  timestamptz,
    PRIMARY KEY (customer_id, resource, batch_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE partnersync.list_state IS 'What is known of each list that the API gives: a customer''s batches, its policies, a batch''s devices.';
COMMENT ON COLUMN partnersync.list_state.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.list_state.resource IS 'The table of partner_center that the list fills.';
COMMENT ON COLUMN partnersync.list_state.batch_id IS 'The batch whose devices are listed; empty for the other lists.';
COMMENT ON COLUMN partnersync.list_state.digest IS 'Digest of the last complete listing, as long as its rows are exactly the current ones; else null.';
COMMENT ON COLUMN partnersync.list_state.observed_at IS 'When the last listing that was merged or found unchanged was observed. Only grows.';
COMMENT ON COLUMN partnersync.list_state.confirmed_at IS 'When the last complete listing that was not held was observed; null also where the batch of a device list has been removed since.';
COMMENT ON COLUMN partnersync.list_state.confirmed_pages IS 'How many pages that listing had: one of several may have missed an item that moved between them.';
COMMENT ON COLUMN partnersync.list_state.rows IS 'Number of rows of the listing that the digest stands for.';
COMMENT ON COLUMN partnersync.list_state.held IS 'Keys that the last complete listing lacked, held back by the mass removal guard.';
COMMENT ON COLUMN partnersync.list_state.held_run IS 'The run of that listing; a later one may confirm it.';
COMMENT ON COLUMN partnersync.list_state.batch_status IS 'Of a device list: the batch''s status at the last complete listing.';
COMMENT ON COLUMN partnersync.list_state.batch_devices_count IS 'Of a device list: the batch''s devices_count at the last complete listing.';
COMMENT ON COLUMN partnersync.list_state.stale_at IS 'Of a list of devices or policies: when the last read failed or was held, or the batch was removed, so that the list has to be read again; null after a complete read.';
COMMENT ON COLUMN partnersync.list_state.refusals IS 'Of a device list: how many runs in a row the API has refused it for a reason of its own. From three on it is tried once a day, and fails nobody.';
COMMENT ON COLUMN partnersync.list_state.error IS 'Of a device list: why the last read failed, the code first; null: it did not.';
COMMENT ON COLUMN partnersync.list_state.received_id IS 'Of a device list: the batch''s id as received, for requests, where it could not be stored unchanged.';
COMMENT ON COLUMN partnersync.list_state.first_confirmed_at IS 'When the first complete listing that was not held was observed; null: there was none.';
COMMENT ON COLUMN partnersync.list_state.last_run IS 'The last run that has read the list, or failed to. It reads no device list twice; and where it reads another list again, since the database went away in the middle, it does not count the rows twice.';

-- +goose Down
DROP TABLE partnersync.list_state;
DROP TABLE partner_center.device_batch_versions;
DROP TABLE partner_center.device_batches;
DROP FUNCTION partner_center.device_key(uuid, text, text);
DROP FUNCTION partner_center.batch_key(uuid, text);
DROP FUNCTION partner_center.is_finished(text);
