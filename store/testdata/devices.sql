
SELECT device_id, removed_at, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra
FROM partner_center.devices
WHERE customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text;

SELECT i.device_id,
       k.removed_at IS NOT NULL
       OR i.serial_number IS DISTINCT FROM k.serial_number
       OR i.product_key IS DISTINCT FROM k.product_key
       OR i.hardware_hash IS DISTINCT FROM k.hardware_hash
       OR i.model_name IS DISTINCT FROM k.model_name
       OR i.oem_manufacturer_name IS DISTINCT FROM k.oem_manufacturer_name
       OR i.uploaded_by IS DISTINCT FROM k.uploaded_by
       OR (i.uploaded_date IS DISTINCT FROM k.uploaded_date AND coalesce(abs(extract(epoch FROM i.uploaded_date - k.uploaded_date)) >= 1, true))
       OR i.policies IS DISTINCT FROM k.policies
FROM (
    SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, coalesce(policies::jsonb, '[]') AS policies, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@device_id::text[]) AS device_id,
                 unnest(@serial_number::text[]) AS serial_number,
                 unnest(@product_key::text[]) AS product_key,
                 unnest(@hardware_hash::text[]) AS hardware_hash,
                 unnest(@model_name::text[]) AS model_name,
                 unnest(@oem_manufacturer_name::text[]) AS oem_manufacturer_name,
                 unnest(@uploaded_by::text[]) AS uploaded_by,
                 unnest(@uploaded_date::timestamptz[]) AS uploaded_date,
                 unnest(@policies::text[]) AS policies,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.devices k ON customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND k.device_id = i.device_id
WHERE k.removed_at IS NOT NULL
   OR i.serial_number IS DISTINCT FROM k.serial_number
   OR i.product_key IS DISTINCT FROM k.product_key
   OR i.hardware_hash IS DISTINCT FROM k.hardware_hash
   OR i.model_name IS DISTINCT FROM k.model_name
   OR i.oem_manufacturer_name IS DISTINCT FROM k.oem_manufacturer_name
   OR i.uploaded_by IS DISTINCT FROM k.uploaded_by
   OR (i.uploaded_date IS DISTINCT FROM k.uploaded_date AND coalesce(abs(extract(epoch FROM i.uploaded_date - k.uploaded_date)) >= 1, true))
   OR i.policies IS DISTINCT FROM k.policies
   OR i.extra IS DISTINCT FROM k.extra;

INSERT INTO partner_center.device_versions (customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from, not_before, removed_at, @observed_at::timestamptz
FROM partner_center.devices
WHERE customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND device_id = ANY (@keys::text[]);

UPDATE partner_center.devices k
SET serial_number = i.serial_number,
    product_key = i.product_key,
    hardware_hash = i.hardware_hash,
    model_name = i.model_name,
    oem_manufacturer_name = i.oem_manufacturer_name,
    uploaded_by = i.uploaded_by,
    uploaded_date = CASE WHEN (i.uploaded_date IS DISTINCT FROM k.uploaded_date AND coalesce(abs(extract(epoch FROM i.uploaded_date - k.uploaded_date)) >= 1, true)) THEN i.uploaded_date ELSE k.uploaded_date END,
    policies = i.policies,
    extra = i.extra,
    not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = NULL
FROM (
    SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, coalesce(policies::jsonb, '[]') AS policies, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@device_id::text[]) AS device_id,
                 unnest(@serial_number::text[]) AS serial_number,
                 unnest(@product_key::text[]) AS product_key,
                 unnest(@hardware_hash::text[]) AS hardware_hash,
                 unnest(@model_name::text[]) AS model_name,
                 unnest(@oem_manufacturer_name::text[]) AS oem_manufacturer_name,
                 unnest(@uploaded_by::text[]) AS uploaded_by,
                 unnest(@uploaded_date::timestamptz[]) AS uploaded_date,
                 unnest(@policies::text[]) AS policies,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND k.device_id = i.device_id;

UPDATE partner_center.devices k
SET not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = @observed_at::timestamptz
WHERE customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND k.device_id = ANY (@keys::text[]);

UPDATE partner_center.devices k
SET extra = i.extra
FROM (
    SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, coalesce(policies::jsonb, '[]') AS policies, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@device_id::text[]) AS device_id,
                 unnest(@serial_number::text[]) AS serial_number,
                 unnest(@product_key::text[]) AS product_key,
                 unnest(@hardware_hash::text[]) AS hardware_hash,
                 unnest(@model_name::text[]) AS model_name,
                 unnest(@oem_manufacturer_name::text[]) AS oem_manufacturer_name,
                 unnest(@uploaded_by::text[]) AS uploaded_by,
                 unnest(@uploaded_date::timestamptz[]) AS uploaded_date,
                 unnest(@policies::text[]) AS policies,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND k.device_id = i.device_id;

INSERT INTO partner_center.devices (customer_id, batch_id, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, valid_from)
SELECT @customer_id::uuid, @list_batch_id::text, device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, policies, extra, @observed_at::timestamptz
FROM (
    SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, coalesce(policies::jsonb, '[]') AS policies, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@device_id::text[]) AS device_id,
                 unnest(@serial_number::text[]) AS serial_number,
                 unnest(@product_key::text[]) AS product_key,
                 unnest(@hardware_hash::text[]) AS hardware_hash,
                 unnest(@model_name::text[]) AS model_name,
                 unnest(@oem_manufacturer_name::text[]) AS oem_manufacturer_name,
                 unnest(@uploaded_by::text[]) AS uploaded_by,
                 unnest(@uploaded_date::timestamptz[]) AS uploaded_date,
                 unnest(@policies::text[]) AS policies,
                 unnest(@extra::text[]) AS extra) i
) i;

SELECT k.device_id, array_remove(ARRAY[
    CASE WHEN k.removed_at IS NOT NULL THEN 'it is back' END,
    CASE WHEN i.serial_number IS DISTINCT FROM k.serial_number THEN concat('serial_number: ', coalesce(k.serial_number::text, 'null'), ' -> ', coalesce(i.serial_number::text, 'null')) END,
    CASE WHEN i.product_key IS DISTINCT FROM k.product_key THEN concat('product_key: ', coalesce(k.product_key::text, 'null'), ' -> ', coalesce(i.product_key::text, 'null')) END,
    CASE WHEN i.hardware_hash IS DISTINCT FROM k.hardware_hash THEN concat('hardware_hash: ', coalesce(k.hardware_hash::text, 'null'), ' -> ', coalesce(i.hardware_hash::text, 'null')) END,
    CASE WHEN i.model_name IS DISTINCT FROM k.model_name THEN concat('model_name: ', coalesce(k.model_name::text, 'null'), ' -> ', coalesce(i.model_name::text, 'null')) END,
    CASE WHEN i.oem_manufacturer_name IS DISTINCT FROM k.oem_manufacturer_name THEN concat('oem_manufacturer_name: ', coalesce(k.oem_manufacturer_name::text, 'null'), ' -> ', coalesce(i.oem_manufacturer_name::text, 'null')) END,
    CASE WHEN i.uploaded_by IS DISTINCT FROM k.uploaded_by THEN concat('uploaded_by: ', coalesce(k.uploaded_by::text, 'null'), ' -> ', coalesce(i.uploaded_by::text, 'null')) END,
    CASE WHEN (i.uploaded_date IS DISTINCT FROM k.uploaded_date AND coalesce(abs(extract(epoch FROM i.uploaded_date - k.uploaded_date)) >= 1, true)) THEN concat('uploaded_date: ', coalesce(k.uploaded_date::text, 'null'), ' -> ', coalesce(i.uploaded_date::text, 'null')) END,
    CASE WHEN i.policies IS DISTINCT FROM k.policies THEN concat('policies: ', coalesce(k.policies::text, 'null'), ' -> ', coalesce(i.policies::text, 'null')) END], NULL)
FROM (
    SELECT device_id, serial_number, product_key, hardware_hash, model_name, oem_manufacturer_name, uploaded_by, uploaded_date, coalesce(policies::jsonb, '[]') AS policies, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@device_id::text[]) AS device_id,
                 unnest(@serial_number::text[]) AS serial_number,
                 unnest(@product_key::text[]) AS product_key,
                 unnest(@hardware_hash::text[]) AS hardware_hash,
                 unnest(@model_name::text[]) AS model_name,
                 unnest(@oem_manufacturer_name::text[]) AS oem_manufacturer_name,
                 unnest(@uploaded_by::text[]) AS uploaded_by,
                 unnest(@uploaded_date::timestamptz[]) AS uploaded_date,
                 unnest(@policies::text[]) AS policies,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.devices k ON customer_id = @customer_id::uuid AND batch_id = @list_batch_id::text AND k.device_id = i.device_id;
