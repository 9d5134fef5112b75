
SELECT policy_id, removed_at, name, category, description, devices_assigned_count, policy_settings::text, created_date, last_modified_date, extra
FROM partner_center.configuration_policies
WHERE customer_id = @customer_id::uuid;

SELECT i.policy_id,
       k.removed_at IS NOT NULL
       OR i.name IS DISTINCT FROM k.name
       OR i.category IS DISTINCT FROM k.category
       OR i.description IS DISTINCT FROM k.description
       OR i.policy_settings IS DISTINCT FROM k.policy_settings
       OR (i.created_date IS DISTINCT FROM k.created_date AND coalesce(abs(extract(epoch FROM i.created_date - k.created_date)) >= 1, true))
       OR (i.last_modified_date IS DISTINCT FROM k.last_modified_date AND coalesce(abs(extract(epoch FROM i.last_modified_date - k.last_modified_date)) >= 1, true))
FROM (
    SELECT policy_id, name, category, description, devices_assigned_count, policy_settings::text[] AS policy_settings, created_date, last_modified_date, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@policy_id::text[]) AS policy_id,
                 unnest(@name::text[]) AS name,
                 unnest(@category::text[]) AS category,
                 unnest(@description::text[]) AS description,
                 unnest(@devices_assigned_count::integer[]) AS devices_assigned_count,
                 unnest(@policy_settings::text[]) AS policy_settings,
                 unnest(@created_date::timestamptz[]) AS created_date,
                 unnest(@last_modified_date::timestamptz[]) AS last_modified_date,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.configuration_policies k ON customer_id = @customer_id::uuid AND k.policy_id = i.policy_id
WHERE k.removed_at IS NOT NULL
   OR i.name IS DISTINCT FROM k.name
   OR i.category IS DISTINCT FROM k.category
   OR i.description IS DISTINCT FROM k.description
   OR i.devices_assigned_count IS DISTINCT FROM k.devices_assigned_count
   OR i.policy_settings IS DISTINCT FROM k.policy_settings
   OR (i.created_date IS DISTINCT FROM k.created_date AND coalesce(abs(extract(epoch FROM i.created_date - k.created_date)) >= 1, true))
   OR (i.last_modified_date IS DISTINCT FROM k.last_modified_date AND coalesce(abs(extract(epoch FROM i.last_modified_date - k.last_modified_date)) >= 1, true))
   OR i.extra IS DISTINCT FROM k.extra;

INSERT INTO partner_center.configuration_policy_versions (customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from, not_before, removed_at, @observed_at::timestamptz
FROM partner_center.configuration_policies
WHERE customer_id = @customer_id::uuid AND policy_id = ANY (@keys::text[]);

UPDATE partner_center.configuration_policies k
SET name = i.name,
    category = i.category,
    description = i.description,
    devices_assigned_count = i.devices_assigned_count,
    policy_settings = i.policy_settings,
    created_date = CASE WHEN (i.created_date IS DISTINCT FROM k.created_date AND coalesce(abs(extract(epoch FROM i.created_date - k.created_date)) >= 1, true)) THEN i.created_date ELSE k.created_date END,
    last_modified_date = CASE WHEN (i.last_modified_date IS DISTINCT FROM k.last_modified_date AND coalesce(abs(extract(epoch FROM i.last_modified_date - k.last_modified_date)) >= 1, true)) THEN i.last_modified_date ELSE k.last_modified_date END,
    extra = i.extra,
    not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = NULL
FROM (
    SELECT policy_id, name, category, description, devices_assigned_count, policy_settings::text[] AS policy_settings, created_date, last_modified_date, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@policy_id::text[]) AS policy_id,
                 unnest(@name::text[]) AS name,
                 unnest(@category::text[]) AS category,
                 unnest(@description::text[]) AS description,
                 unnest(@devices_assigned_count::integer[]) AS devices_assigned_count,
                 unnest(@policy_settings::text[]) AS policy_settings,
                 unnest(@created_date::timestamptz[]) AS created_date,
                 unnest(@last_modified_date::timestamptz[]) AS last_modified_date,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND k.policy_id = i.policy_id;

UPDATE partner_center.configuration_policies k
SET not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = @observed_at::timestamptz
WHERE customer_id = @customer_id::uuid AND k.policy_id = ANY (@keys::text[]);

UPDATE partner_center.configuration_policies k
SET devices_assigned_count = i.devices_assigned_count,
    extra = i.extra
FROM (
    SELECT policy_id, name, category, description, devices_assigned_count, policy_settings::text[] AS policy_settings, created_date, last_modified_date, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@policy_id::text[]) AS policy_id,
                 unnest(@name::text[]) AS name,
                 unnest(@category::text[]) AS category,
                 unnest(@description::text[]) AS description,
                 unnest(@devices_assigned_count::integer[]) AS devices_assigned_count,
                 unnest(@policy_settings::text[]) AS policy_settings,
                 unnest(@created_date::timestamptz[]) AS created_date,
                 unnest(@last_modified_date::timestamptz[]) AS last_modified_date,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND k.policy_id = i.policy_id;

INSERT INTO partner_center.configuration_policies (customer_id, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, valid_from)
SELECT @customer_id::uuid, policy_id, name, category, description, devices_assigned_count, policy_settings, created_date, last_modified_date, extra, @observed_at::timestamptz
FROM (
    SELECT policy_id, name, category, description, devices_assigned_count, policy_settings::text[] AS policy_settings, created_date, last_modified_date, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@policy_id::text[]) AS policy_id,
                 unnest(@name::text[]) AS name,
                 unnest(@category::text[]) AS category,
                 unnest(@description::text[]) AS description,
                 unnest(@devices_assigned_count::integer[]) AS devices_assigned_count,
                 unnest(@policy_settings::text[]) AS policy_settings,
                 unnest(@created_date::timestamptz[]) AS created_date,
                 unnest(@last_modified_date::timestamptz[]) AS last_modified_date,
                 unnest(@extra::text[]) AS extra) i
) i;

SELECT k.policy_id, array_remove(ARRAY[
    CASE WHEN k.removed_at IS NOT NULL THEN 'it is back' END,
    CASE WHEN i.name IS DISTINCT FROM k.name THEN concat('name: ', coalesce(k.name::text, 'null'), ' -> ', coalesce(i.name::text, 'null')) END,
    CASE WHEN i.category IS DISTINCT FROM k.category THEN concat('category: ', coalesce(k.category::text, 'null'), ' -> ', coalesce(i.category::text, 'null')) END,
    CASE WHEN i.description IS DISTINCT FROM k.description THEN concat('description: ', coalesce(k.description::text, 'null'), ' -> ', coalesce(i.description::text, 'null')) END,
    CASE WHEN i.policy_settings IS DISTINCT FROM k.policy_settings THEN concat('policy_settings: ', coalesce(k.policy_settings::text, 'null'), ' -> ', coalesce(i.policy_settings::text, 'null')) END,
    CASE WHEN (i.created_date IS DISTINCT FROM k.created_date AND coalesce(abs(extract(epoch FROM i.created_date - k.created_date)) >= 1, true)) THEN concat('created_date: ', coalesce(k.created_date::text, 'null'), ' -> ', coalesce(i.created_date::text, 'null')) END,
    CASE WHEN (i.last_modified_date IS DISTINCT FROM k.last_modified_date AND coalesce(abs(extract(epoch FROM i.last_modified_date - k.last_modified_date)) >= 1, true)) THEN concat('last_modified_date: ', coalesce(k.last_modified_date::text, 'null'), ' -> ', coalesce(i.last_modified_date::text, 'null')) END], NULL)
FROM (
    SELECT policy_id, name, category, description, devices_assigned_count, policy_settings::text[] AS policy_settings, created_date, last_modified_date, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@policy_id::text[]) AS policy_id,
                 unnest(@name::text[]) AS name,
                 unnest(@category::text[]) AS category,
                 unnest(@description::text[]) AS description,
                 unnest(@devices_assigned_count::integer[]) AS devices_assigned_count,
                 unnest(@policy_settings::text[]) AS policy_settings,
                 unnest(@created_date::timestamptz[]) AS created_date,
                 unnest(@last_modified_date::timestamptz[]) AS last_modified_date,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.configuration_policies k ON customer_id = @customer_id::uuid AND k.policy_id = i.policy_id;
