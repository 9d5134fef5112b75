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

-- +goose StatementBegin
CREATE FUNCTION partner_center.configuration_policies_as_of(at timestamptz)
RETURNS TABLE (
    customer_id uuid, policy_id text, name text, category text, description text, devices_assigned_count integer,
    policy_settings text[], created_date timestamptz, last_modified_date timestamptz, extra jsonb,
    valid_from timestamptz, not_before timestamptz, removed_at timestamptz, valid_to timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.customer_id, h.policy_id, h.name, h.category, h.description, h.devices_assigned_count,
           h.policy_settings, h.created_date, h.last_modified_date, h.extra,
           h.valid_from, h.not_before, h.removed_at, h.valid_to
    FROM partner_center.configuration_policy_history h
    WHERE h.valid_from <= at AND (h.valid_to > at OR h.valid_to IS NULL) AND h.removed_at IS NULL
      AND EXISTS (
          SELECT
          FROM partner_center.customer_history c
          WHERE c.customer_id = h.customer_id
            AND c.valid_from <= at AND (c.valid_to > at OR c.valid_to IS NULL) AND c.removed_at IS NULL)
      AND NOT EXISTS (
          SELECT
          FROM partner_center.customers c
          WHERE c.customer_id = h.customer_id AND c.pruned_before > at);
END;
-- +goose StatementEnd
COMMENT ON FUNCTION partner_center.configuration_policies_as_of(timestamptz) IS
    'The configuration policies as they were known at that time, of the customers that were there then, removed ones left out: select * from partner_center.configuration_policies_as_of(''2026-01-31 18:00Z''). For a customer whose history was pruned there are no rows of times before customers.pruned_before.';

CREATE VIEW partner_center.device_list_freshness AS
SELECT b.customer_id, b.batch_id, l.confirmed_at AS listed_at,
       CASE WHEN l.confirmed_at IS NOT NULL THEN coalesce(d.devices, 0) END AS devices,
       partner_center.batch_key(b.customer_id, b.batch_id) AS batch_key
FROM partner_center.device_batches b
JOIN partner_center.customers c ON c.customer_id = b.customer_id
LEFT JOIN partnersync.list_state l
       ON l.customer_id = b.customer_id AND l.resource = 'devices' AND l.batch_id = b.batch_id
LEFT JOIN (
    SELECT v.customer_id, v.batch_id, count(*) AS devices
    FROM partner_center.devices v
    WHERE v.removed_at IS NULL
    GROUP BY v.customer_id, v.batch_id
) d ON d.customer_id = b.customer_id AND d.batch_id = b.batch_id
WHERE b.removed_at IS NULL AND c.removed_at IS NULL;
COMMENT ON VIEW partner_center.device_list_freshness IS
    'When the devices of each batch that is there, of customers that are there, were last read as a whole. A list is read when it may have changed, and once in devices_refresh otherwise. A prune (partnersync prune) takes nothing away here.';
COMMENT ON COLUMN partner_center.device_list_freshness.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_list_freshness.batch_id IS 'The batch''s name.';
COMMENT ON COLUMN partner_center.device_list_freshness.listed_at IS
    'When the batch''s devices were last read completely; null: never, or not since the batch returned, or device lists are not read.';
COMMENT ON COLUMN partner_center.device_list_freshness.devices IS 'How many devices are listed in the batch; null where listed_at is.';
COMMENT ON COLUMN partner_center.device_list_freshness.batch_key IS 'One value that identifies the batch: batch_key(customer_id, batch_id).';

-- What the values of devices.policies mean, so that it is found once for each customer, and not for each device: by_id has
-- [policy_id, name] by the id in lower case, and by_name the id by a name that is one policy's alone. Policies that are
-- listed come before those that were removed.
CREATE VIEW partnersync.policy_values AS
SELECT p.customer_id,
       jsonb_object_agg(lower(p.policy_id), jsonb_build_array(p.policy_id, p.name) ORDER BY p.removed_at) AS by_id,
       jsonb_object_agg(p.name, p.policy_id) FILTER (
           WHERE p.name IS NOT NULL AND CASE WHEN p.listed > 0 THEN p.listed = 1 AND p.removed_at IS NULL
                                             ELSE p.namesakes = 1 END) AS by_name
FROM (
    SELECT customer_id, policy_id, nullif(name, '') AS name, removed_at,
           count(*) FILTER (WHERE removed_at IS NULL) OVER same_name AS listed, count(*) OVER same_name AS namesakes
    FROM partner_center.configuration_policies
    WINDOW same_name AS (PARTITION BY customer_id, name)
) p
GROUP BY p.customer_id;
COMMENT ON VIEW partnersync.policy_values IS 'Of each customer that has policies, removed ones included: what the values of devices.policies mean.';
COMMENT ON COLUMN partnersync.policy_values.customer_id IS 'The customer.';
COMMENT ON COLUMN partnersync.policy_values.by_id IS 'An object: policy_id in lower case -> [policy_id, name].';
COMMENT ON COLUMN partnersync.policy_values.by_name IS 'An object: name -> policy_id, without names that several policies share; null: there is none.';

CREATE VIEW partner_center.device_policies AS
SELECT d.customer_id, d.batch_id, d.device_id, a.policy_key, a.policy_id, a.policy_name,
       partner_center.device_key(d.customer_id, d.batch_id, d.device_id) AS device_key,
       partner_center.batch_key(d.customer_id, d.batch_id) AS batch_key
FROM partner_center.devices d
JOIN partner_center.customers c ON c.customer_id = d.customer_id
LEFT JOIN LATERAL (
    SELECT DISTINCT v.by_id, v.by_name -- one, and so found apart
    FROM partnersync.policy_values v
    WHERE v.customer_id = d.customer_id
) p ON true
CROSS JOIN LATERAL (
    SELECT DISTINCT e ->> 'key' AS policy_key,
           coalesce(p.by_id -> lower((e ->> 'value') COLLATE "C") ->> 0, p.by_name ->> (e ->> 'value')) AS policy_id,
           coalesce(p.by_id -> lower((e ->> 'value') COLLATE "C") ->> 1, e ->> 'value') AS policy_name
    FROM jsonb_array_elements(d.policies) e
    WHERE e ->> 'value' <> ''
) a
WHERE d.removed_at IS NULL AND c.removed_at IS NULL;
COMMENT ON VIEW partner_center.device_policies IS
    'Which policies are assigned to each device that is listed, of customers that are there; a key without a value has no row. The API names a policy by its id, matched in any case, or by its name; policies that were removed count where no listed one matches. A prune (partnersync prune) takes nothing away here.';
COMMENT ON COLUMN partner_center.device_policies.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_policies.batch_id IS 'The batch that lists the device.';
COMMENT ON COLUMN partner_center.device_policies.device_id IS 'The device''s id.';
COMMENT ON COLUMN partner_center.device_policies.policy_key IS 'The category of the policy, such as o_o_b_e.';
COMMENT ON COLUMN partner_center.device_policies.policy_id IS 'As in configuration_policies; null where no policy matches, or several of the customer have that name.';
COMMENT ON COLUMN partner_center.device_policies.policy_name IS 'The policy''s name, as last known; where that is unknown, the value as received.';
COMMENT ON COLUMN partner_center.device_policies.device_key IS 'One value that identifies the device in its batch: device_key(customer_id, batch_id, device_id).';
COMMENT ON COLUMN partner_center.device_policies.batch_key IS 'One value that identifies the batch: batch_key(customer_id, batch_id).';

-- The policies of consecutive versions are compared key by key as sets, once for all devices of a customer that changed in the
-- same way. Where one of two values with the same name is a name that says no more, they are the same policy. What a key lost
-- and what it gained are put side by side in the order of the values.
CREATE VIEW partner_center.device_policy_changes AS
SELECT c.customer_id, d.batch_id, d.device_id, x.policy_key, x.from_value, x.to_value, x.from_policy_name, x.to_policy_name,
       d.changed_after, d.changed_by,
       partner_center.device_key(c.customer_id, d.batch_id, d.device_id) AS device_key,
       partner_center.batch_key(c.customer_id, d.batch_id) AS batch_key
FROM (
    SELECT h.customer_id, p.policies AS from_policies, h.policies AS to_policies,
           array_agg(h.batch_id) AS batch_ids, array_agg(h.device_id) AS device_ids,
           array_agg(h.not_before) AS changed_after, array_agg(h.valid_from) AS changed_by
    FROM partner_center.device_history h
    LEFT JOIN partner_center.device_versions p
           ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
    WHERE p.policies IS DISTINCT FROM h.policies
      AND (p.customer_id IS NOT NULL OR h.not_before IS NULL) -- else the version before was pruned
    GROUP BY h.customer_id, p.policies, h.policies
) c
LEFT JOIN partnersync.policy_values m ON m.customer_id = c.customer_id
CROSS JOIN LATERAL (
    SELECT s.policy_key,
           max(s.value) FILTER (WHERE s.before)           AS from_value,
           max(s.value) FILTER (WHERE NOT s.before)       AS to_value,
           max(s.policy_name) FILTER (WHERE s.before)     AS from_policy_name,
           max(s.policy_name) FILTER (WHERE NOT s.before) AS to_policy_name
    FROM (
        SELECT i.policy_key, bool_or(i.before) AS before, min(i.value) AS value, min(i.policy_name) AS policy_name,
               row_number() OVER (PARTITION BY i.policy_key, bool_or(i.before) ORDER BY min(i.value)) AS position
        FROM (
            SELECT v.before, v.policy_key, v.value, v.policy_name,
                   CASE WHEN bool_or(v.policy_id IS NULL) OVER (PARTITION BY v.policy_key, v.policy_name) THEN v.policy_name
                        ELSE v.policy_id END AS policy
            FROM (
                SELECT e.before, e.policy_key, e.value,
                       coalesce(m.by_id -> lower(e.value) ->> 0, m.by_name ->> e.value) AS policy_id,
                       coalesce(m.by_id -> lower(e.value) ->> 1, e.value) AS policy_name
                FROM (
                    SELECT side.before, a ->> 'key' AS policy_key, (a ->> 'value') COLLATE "C" AS value
                    FROM (VALUES (true, c.from_policies), (false, c.to_policies)) AS side (before, policies)
                    CROSS JOIN LATERAL jsonb_array_elements(side.policies) a
                ) e
                WHERE e.value <> ''
            ) v
        ) i
        GROUP BY i.policy_key, i.policy
        HAVING bool_and(i.before) = bool_or(i.before) -- else it was there before and after
    ) s
    GROUP BY s.policy_key, s.position
) x
CROSS JOIN LATERAL unnest(c.batch_ids, c.device_ids, c.changed_after, c.changed_by)
    AS d (batch_id, device_id, changed_after, changed_by);
COMMENT ON VIEW partner_center.device_policy_changes IS
    'Which device got or lost which policy, and when. The first version of a device gives the policies it came with. Removal and return are no changes, and neither is an id that becomes the policy''s own name. The values of a key that is repeated are compared as a set. A change is shown as long as the version before it is kept (partnersync prune).';
COMMENT ON COLUMN partner_center.device_policy_changes.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_policy_changes.batch_id IS 'The batch that lists the device.';
COMMENT ON COLUMN partner_center.device_policy_changes.device_id IS 'The device''s id.';
COMMENT ON COLUMN partner_center.device_policy_changes.policy_key IS 'The category of the policy, such as o_o_b_e.';
COMMENT ON COLUMN partner_center.device_policy_changes.from_value IS 'The value before: a policy''s id or its name; null for none.';
COMMENT ON COLUMN partner_center.device_policy_changes.to_value IS 'The value after: a policy''s id or its name; null for none.';
COMMENT ON COLUMN partner_center.device_policy_changes.from_policy_name IS
    'Name of the policy before, matched as in device_policies; where that is unknown, the value.';
COMMENT ON COLUMN partner_center.device_policy_changes.to_policy_name IS 'Name of the policy after, likewise.';
COMMENT ON COLUMN partner_center.device_policy_changes.changed_after IS 'The change happened after this time; null when the device was first seen.';
COMMENT ON COLUMN partner_center.device_policy_changes.changed_by IS 'The change had happened by this time.';
COMMENT ON COLUMN partner_center.device_policy_changes.device_key IS 'One value that identifies the device in its batch: device_key(customer_id, batch_id, device_id).';
COMMENT ON COLUMN partner_center.device_policy_changes.batch_key IS 'One value that identifies the batch: batch_key(customer_id, batch_id).';

-- +goose Down
DROP VIEW partner_center.device_policy_changes;
DROP VIEW partner_center.device_policies;
DROP VIEW partnersync.policy_values;
DROP VIEW partner_center.device_list_freshness;
DROP FUNCTION partner_center.configuration_policies_as_of(timestamptz);
DROP FUNCTION partner_center.devices_as_of(timestamptz);
