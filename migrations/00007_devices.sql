-- +goose Up
CREATE TABLE partner_center.devices (
    customer_id           uuid NOT NULL,
    batch_id              text COLLATE "C" NOT NULL,
    device_id             text COLLATE "C" NOT NULL,
    serial_number         text,
    product_key           text,
    hardware_hash         text,
    model_name            text,
    oem_manufacturer_name text,
    uploaded_by           text,
    uploaded_date         timestamptz,
    policies              jsonb NOT NULL DEFAULT '[]',
    extra                 jsonb NOT NULL DEFAULT '{}',
    valid_from            timestamptz NOT NULL,
    not_before            timestamptz,
    removed_at            timestamptz,
    PRIMARY KEY (customer_id, batch_id, device_id)
);
COMMENT ON TABLE partner_center.devices IS
    'The devices in each batch, the current version of each. Earlier ones: device_versions; both: device_history.';
COMMENT ON COLUMN partner_center.devices.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.devices.batch_id IS 'The batch that the device is listed in, as in device_batches.';
COMMENT ON COLUMN partner_center.devices.device_id IS 'id, opaque. Over 1,000 bytes: the first 900, an ellipsis and the SHA-256.';
COMMENT ON COLUMN partner_center.devices.serial_number IS 'serialNumber.';
COMMENT ON COLUMN partner_center.devices.product_key IS 'productKey.';
COMMENT ON COLUMN partner_center.devices.hardware_hash IS 'hardwareHash; the API hardly ever gives it.';
COMMENT ON COLUMN partner_center.devices.model_name IS 'modelName.';
COMMENT ON COLUMN partner_center.devices.oem_manufacturer_name IS 'oemManufacturerName.';
COMMENT ON COLUMN partner_center.devices.uploaded_by IS 'uploadedBy.';
COMMENT ON COLUMN partner_center.devices.uploaded_date IS 'uploadedDate; a date without a zone is UTC.';
COMMENT ON COLUMN partner_center.devices.policies IS 'The configuration policies assigned: [{"key": category, "value": null, a policy''s id or its name}], ordered by key.';
COMMENT ON COLUMN partner_center.devices.extra IS 'Fields that partnersync does not know, and values that did not fit their column, under their API names. A change here alone opens no version.';
COMMENT ON COLUMN partner_center.devices.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.devices.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.devices.removed_at IS 'When a complete listing first lacked the device, or the batch itself was removed; the other columns keep what was last known. Null while it is listed.';

CREATE TABLE partner_center.device_versions (
    customer_id           uuid NOT NULL,
    batch_id              text COLLATE "C" NOT NULL,
    device_id             text COLLATE "C" NOT NULL,
    serial_number         text,
    product_key           text,
    hardware_hash         text,
    model_name            text,
    oem_manufacturer_name text,
    uploaded_by           text,
    uploaded_date         timestamptz,
    policies              jsonb NOT NULL DEFAULT '[]',
    extra                 jsonb NOT NULL DEFAULT '{}',
    valid_from            timestamptz NOT NULL,
    not_before            timestamptz,
    removed_at            timestamptz,
    valid_to              timestamptz NOT NULL CHECK (valid_to > valid_from),
    PRIMARY KEY (customer_id, batch_id, device_id, valid_to)
);
COMMENT ON TABLE partner_center.device_versions IS 'Superseded versions of devices. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON COLUMN partner_center.device_versions.customer_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.batch_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.device_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.serial_number IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.product_key IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.hardware_hash IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.model_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.oem_manufacturer_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.uploaded_by IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.uploaded_date IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.policies IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.extra IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_versions.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.device_versions.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.device_versions.removed_at IS 'Set in a version that was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.device_versions.valid_to IS 'When the next version was first observed: the version held from valid_from until just before this time.';

CREATE VIEW partner_center.device_history AS
SELECT customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
       oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at,
       NULL::timestamptz AS valid_to, true AS is_current
FROM partner_center.devices
UNION ALL
SELECT customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name,
       oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at,
       valid_to, false
FROM partner_center.device_versions;
COMMENT ON VIEW partner_center.device_history IS
    'Every version of devices. A version holds at a time t if valid_from <= t AND (valid_to > t OR valid_to IS NULL); versions neither overlap nor leave gaps. The oldest one is the first, unless it has a not_before: then earlier ones were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.device_history.customer_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.batch_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.device_id IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.serial_number IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.product_key IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.hardware_hash IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.model_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.oem_manufacturer_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.uploaded_by IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.uploaded_date IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.policies IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.extra IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_history.valid_from IS 'When the version was first observed.';
COMMENT ON COLUMN partner_center.device_history.not_before IS 'The change to the version happened after this time and not later than valid_from; null for the first.';
COMMENT ON COLUMN partner_center.device_history.removed_at IS 'Set in a version that was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.device_history.valid_to IS
    'When the next version was first observed; null for the current one. What held at a time t: valid_from <= t AND (valid_to > t OR valid_to IS NULL).';
COMMENT ON COLUMN partner_center.device_history.is_current IS 'Whether the version is the current one.';

-- +goose Down
DROP VIEW partner_center.device_history;
DROP TABLE partner_center.device_versions;
DROP TABLE partner_center.devices;
-- What is known of lists whose rows are gone must not pass for unchanged.
DELETE FROM partnersync.list_state WHERE resource = 'devices';
UPDATE partnersync.customer_state SET devices_due_at = NULL, devices_refresh = NULL;
