-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION partner_center.devices_as_of(at timestamptz)
RETURNS TABLE (
    customer_id uuid, batch_id text, device_id text, serial_number text, product_key text, hardware_hash text, model_name text,
    oem_manufacturer_name text, uploaded_by text, uploaded_date timestamptz, policies jsonb, extra jsonb,
    valid_from timestamptz, not_before timestamptz, removed_at timestamptz, valid_to timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.customer_id, h.batch_id, h.device_id, h.serial_number, h.product_key, h.hardware_hash, h.model_name,
           h.oem_manufacturer_name, h.uploaded_by, h.uploaded_date, h.policies, h.extra,
           h.valid_from, h.not_before, h.removed_at, h.valid_to
    FROM partner_center.device_history h
    WHERE h.valid_from <= at AND (h.valid_to > at OR h.valid_to IS NULL) AND h.removed_at IS NULL
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customer_history c
          WHERE c.customer_id = h.customer_id
            AND c.valid_from <= at AND (c.valid_to > at OR c.valid_to IS NULL) AND c.removed_at IS NOT NULL)
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customers c
          WHERE c.customer_id = h.customer_id AND c.pruned_before > at);
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.devices_as_of(timestamptz) IS
    'The devices as they were known at that time, without removed ones and without those of customers that had left: select * from partner_center.devices_as_of(''2026-01-31 18:00Z''). For a customer whose history was pruned there are no rows of times before customers.pruned_before.';

-- Consecutive versions are compared key by key; a key without a value and a missing key are the same.
CREATE VIEW partner_center.device_policy_changes AS
SELECT d.customer_id, d.batch_id, d.device_id, d.policy_key, d.from_value, d.to_value,
       coalesce(f.name, CASE WHEN d.from_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.from_value END) AS from_policy_name,
       coalesce(t.name, CASE WHEN d.to_value !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN d.to_value END) AS to_policy_name,
       d.changed_after, d.changed_by
FROM (
    SELECT h.customer_id, h.batch_id, h.device_id, x.policy_key, x.from_value, x.to_value,
           h.not_before AS changed_after, h.valid_from AS changed_by
    FROM partner_center.device_history h
    LEFT JOIN partner_center.device_versions p
           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
    CROSS JOIN LATERAL (
        SELECT coalesce(o.key, n.key) AS policy_key, o.value AS from_value, n.value AS to_value
        FROM jsonb_to_recordset(p.policies) AS o (key text, value text)
        FULL JOIN jsonb_to_recordset(h.policies) AS n (key text, value text) ON n.key = o.key
    ) x
    WHERE p.policies IS DISTINCT FROM h.policies AND x.from_value IS DISTINCT FROM x.to_value
      AND (p.customer_id IS NOT NULL OR h.not_before IS NULL) -- else the version before was pruned
) d
LEFT JOIN partner_center.configuration_policies f ON f.customer_id = d.customer_id AND f.policy_id = d.from_value
LEFT JOIN partner_center.configuration_policies t ON t.customer_id = d.customer_id AND t.policy_id = d.to_value;
COMMENT ON VIEW partner_center.device_policy_changes IS
    'Which device got or lost which policy, and when. The first version of a device gives the policies it came with. Removal and return are no changes. A change is shown as long as the version before it is kept (partnersync prune).';
COMMENT ON COLUMN partner_center.device_policy_changes.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_policy_changes.batch_id IS 'The batch that lists the device.';
COMMENT ON COLUMN partner_center.device_policy_changes.device_id IS 'The device''s id.';
COMMENT ON COLUMN partner_center.device_policy_changes.policy_key IS 'The category of the policy, such as o_o_b_e.';
COMMENT ON COLUMN partner_center.device_policy_changes.from_value IS 'The value before: a policy''s id or its name; null for none.';
COMMENT ON COLUMN partner_center.device_policy_changes.to_value IS 'The value after: a policy''s id or its name; null for none.';
COMMENT ON COLUMN partner_center.device_policy_changes.from_policy_name IS
    'Name of the policy before, as last known in configuration_policies where the value is its id; the value itself where it is no id.';
COMMENT ON COLUMN partner_center.device_policy_changes.to_policy_name IS 'Name of the policy after, likewise.';
COMMENT ON COLUMN partner_center.device_policy_changes.changed_after IS 'The change happened after this time; null when the device was first seen.';
COMMENT ON COLUMN partner_center.device_policy_changes.changed_by IS 'The change had happened by this time.';

-- +goose Down
DROP VIEW partner_center.device_policy_changes;
DROP FUNCTION partner_center.devices_as_of(timestamptz);
