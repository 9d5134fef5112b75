-- +goose Up
CREATE TABLE partner_center.configuration_policies (
    customer_id            uuid NOT NULL,
    policy_id              text COLLATE "C" NOT NULL,
    name                   text,
    category               text,
    description            text,
    devices_assigned_count integer,
    policy_settings        text[] NOT NULL DEFAULT '{}',
    created_date           timestamptz,
    last_modified_date     timestamptz,
    extra                  jsonb NOT NULL DEFAULT '{}',
    valid_from             timestamptz NOT NULL,
    not_before             timestamptz,
    removed_at             timestamptz,
    PRIMARY KEY (customer_id, policy_id)
);
COMMENT ON TABLE partner_center.configuration_policies IS
    'Configuration policies (Autopilot profiles) of each customer, the current version of each. Earlier ones: configuration_policy_versions; both: configuration_policy_history.';
COMMENT ON COLUMN partner_center.configuration_policies.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.configuration_policies.policy_id IS 'id. Over 1,000 bytes: the first 900, an ellipsis and the SHA-256.';
COMMENT ON COLUMN partner_center.configuration_policies.name IS 'name.';
COMMENT ON COLUMN partner_center.configuration_policies.category IS 'category, such as o_o_b_e.';
COMMENT ON COLUMN partner_center.configuration_policies.description IS 'description.';
COMMENT ON COLUMN partner_center.configuration_policies.devices_assigned_count IS 'devicesAssigned (or devicesAssignedCount). A change here alone opens no version.';
COMMENT ON COLUMN partner_center.configuration_policies.policy_settings IS 'policySettings, sorted.';
COMMENT ON COLUMN partner_center.configuration_policies.created_date IS 'createdDate; a date without a zone is UTC.';
COMMENT ON COLUMN partner_center.configuration_policies.last_modified_date IS 'lastModifiedDate; a date without a zone is UTC.';
COMMENT ON COLUMN partner_center.configuration_policies.extra IS 'Fields that partnersync does not know, and values that did not fit their column, under their API names. A change here alone opens no version.';
COMMENT ON COLUMN partner_center.configuration_policies.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.configuration_policies.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.configuration_policies.removed_at IS 'When a complete listing first lacked the policy; the other columns keep what was last known. Null while it is listed.';

CREATE TABLE partner_center.configuration_policy_versions (
    customer_id            uuid NOT NULL,
    policy_id              text COLLATE "C" NOT NULL,
    name                   text,
    category               text,
    description            text,
    devices_assigned_count integer,
    policy_settings        text[] NOT NULL DEFAULT '{}',
    created_date           timestamptz,
    last_modified_date     timestamptz,
    extra                  jsonb NOT NULL DEFAULT '{}',
    valid_from             timestamptz NOT NULL,
    not_before             timestamptz,
    removed_at             timestamptz,
    valid_to               timestamptz NOT NULL CHECK (valid_to > valid_from),
    PRIMARY KEY (customer_id, policy_id, valid_to)
);
COMMENT ON TABLE partner_center.configuration_policy_versions IS 'Superseded versions of configuration_policies. Rows are only ever added; partnersync prune, run by hand, removes old ones.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.customer_id IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.policy_id IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.name IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.category IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.description IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.devices_assigned_count IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.policy_settings IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.created_date IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.last_modified_date IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.extra IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.valid_from IS 'When this version was first observed.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.not_before IS 'The change to this version happened after this time and not later than valid_from. Null for the first version.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.removed_at IS 'Set in a version that was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.configuration_policy_versions.valid_to IS 'When the next version was first observed: the version held from valid_from until just before this time.';

CREATE VIEW partner_center.configuration_policy_history AS
SELECT customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings,
       created_date, last_modified_date, extra, valid_from, not_before, removed_at,
       NULL::timestamptz AS valid_to, true AS is_current
FROM partner_center.configuration_policies
UNION ALL
SELECT customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings,
       created_date, last_modified_date, extra, valid_from, not_before, removed_at,
       valid_to, false
FROM partner_center.configuration_policy_versions;
COMMENT ON VIEW partner_center.configuration_policy_history IS
    'Every version of configuration_policies. A version holds at a time t if valid_from <= t AND (valid_to > t OR valid_to IS NULL); versions neither overlap nor leave gaps. The oldest one is the first, unless it has a not_before: then earlier ones were pruned (partnersync prune).';
COMMENT ON COLUMN partner_center.configuration_policy_history.customer_id IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.policy_id IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.name IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.category IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.description IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.devices_assigned_count IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.policy_settings IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.created_date IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.last_modified_date IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.extra IS 'As in configuration_policies.';
COMMENT ON COLUMN partner_center.configuration_policy_history.valid_from IS 'When the version was first observed.';
COMMENT ON COLUMN partner_center.configuration_policy_history.not_before IS 'The change to the version happened after this time and not later than valid_from; null for the first.';
COMMENT ON COLUMN partner_center.configuration_policy_history.removed_at IS 'Set in a version that was absent: equal to valid_from.';
COMMENT ON COLUMN partner_center.configuration_policy_history.valid_to IS
    'When the next version was first observed; null for the current one. What held at a time t: valid_from <= t AND (valid_to > t OR valid_to IS NULL).';
COMMENT ON COLUMN partner_center.configuration_policy_history.is_current IS 'Whether the version is the current one.';

-- +goose Down
DROP VIEW partner_center.configuration_policy_history;
DROP TABLE partner_center.configuration_policy_versions;
DROP TABLE partner_center.configuration_policies;
DELETE FROM partnersync.list_state WHERE resource = 'configuration_policies';
