
SELECT batch_id, removed_at, status, created_by, creation_date, devices_count, extra
FROM partner_center.device_batches
WHERE customer_id = @customer_id::uuid;

SELECT i.batch_id,
       k.removed_at IS NOT NULL
       OR i.status IS DISTINCT FROM k.status
       OR i.created_by IS DISTINCT FROM k.created_by
       OR (i.creation_date IS DISTINCT FROM k.creation_date AND coalesce(abs(extract(epoch FROM i.creation_date - k.creation_date)) >= 1, true))
       OR i.devices_count IS DISTINCT FROM k.devices_count
FROM (
    SELECT batch_id, status, created_by, creation_date, devices_count, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@batch_id::text[]) AS batch_id,
                 unnest(@status::text[]) AS status,
                 unnest(@created_by::text[]) AS created_by,
                 unnest(@creation_date::timestamptz[]) AS creation_date,
                 unnest(@devices_count::integer[]) AS devices_count,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.device_batches k ON customer_id = @customer_id::uuid AND k.batch_id = i.batch_id
WHERE k.removed_at IS NOT NULL
   OR i.status IS DISTINCT FROM k.status
   OR i.created_by IS DISTINCT FROM k.created_by
   OR (i.creation_date IS DISTINCT FROM k.creation_date AND coalesce(abs(extract(epoch FROM i.creation_date - k.creation_date)) >= 1, true))
   OR i.devices_count IS DISTINCT FROM k.devices_count
   OR i.extra IS DISTINCT FROM k.extra;

INSERT INTO partner_center.device_batch_versions (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at, valid_to)
SELECT customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from, not_before, removed_at, @observed_at::timestamptz
FROM partner_center.device_batches
WHERE customer_id = @customer_id::uuid AND batch_id = ANY (@keys::text[]);

UPDATE partner_center.device_batches k
SET status = i.status,
    created_by = i.created_by,
    creation_date = CASE WHEN (i.creation_date IS DISTINCT FROM k.creation_date AND coalesce(abs(extract(epoch FROM i.creation_date - k.creation_date)) >= 1, true)) THEN i.creation_date ELSE k.creation_date END,
    devices_count = i.devices_count,
    extra = i.extra,
    not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = NULL
FROM (
    SELECT batch_id, status, created_by, creation_date, devices_count, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@batch_id::text[]) AS batch_id,
                 unnest(@status::text[]) AS status,
                 unnest(@created_by::text[]) AS created_by,
                 unnest(@creation_date::timestamptz[]) AS creation_date,
                 unnest(@devices_count::integer[]) AS devices_count,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND k.batch_id = i.batch_id;

UPDATE partner_center.device_batches k
SET not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = @observed_at::timestamptz
WHERE customer_id = @customer_id::uuid AND k.batch_id = ANY (@keys::text[]);

UPDATE partner_center.device_batches k
SET extra = i.extra
FROM (
    SELECT batch_id, status, created_by, creation_date, devices_count, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@batch_id::text[]) AS batch_id,
                 unnest(@status::text[]) AS status,
                 unnest(@created_by::text[]) AS created_by,
                 unnest(@creation_date::timestamptz[]) AS creation_date,
                 unnest(@devices_count::integer[]) AS devices_count,
                 unnest(@extra::text[]) AS extra) i
) i
WHERE customer_id = @customer_id::uuid AND k.batch_id = i.batch_id;

INSERT INTO partner_center.device_batches (customer_id, batch_id, status, created_by, creation_date, devices_count, extra, valid_from)
SELECT @customer_id::uuid, batch_id, status, created_by, creation_date, devices_count, extra, @observed_at::timestamptz
FROM (
    SELECT batch_id, status, created_by, creation_date, devices_count, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@batch_id::text[]) AS batch_id,
                 unnest(@status::text[]) AS status,
                 unnest(@created_by::text[]) AS created_by,
                 unnest(@creation_date::timestamptz[]) AS creation_date,
                 unnest(@devices_count::integer[]) AS devices_count,
                 unnest(@extra::text[]) AS extra) i
) i;

SELECT k.batch_id, array_remove(ARRAY[
    CASE WHEN k.removed_at IS NOT NULL THEN 'it is back' END,
    CASE WHEN i.status IS DISTINCT FROM k.status THEN concat('status: ', coalesce(k.status::text, 'null'), ' -> ', coalesce(i.status::text, 'null')) END,
    CASE WHEN i.created_by IS DISTINCT FROM k.created_by THEN concat('created_by: ', coalesce(k.created_by::text, 'null'), ' -> ', coalesce(i.created_by::text, 'null')) END,
    CASE WHEN (i.creation_date IS DISTINCT FROM k.creation_date AND coalesce(abs(extract(epoch FROM i.creation_date - k.creation_date)) >= 1, true)) THEN concat('creation_date: ', coalesce(k.creation_date::text, 'null'), ' -> ', coalesce(i.creation_date::text, 'null')) END,
    CASE WHEN i.devices_count IS DISTINCT FROM k.devices_count THEN concat('devices_count: ', coalesce(k.devices_count::text, 'null'), ' -> ', coalesce(i.devices_count::text, 'null')) END], NULL)
FROM (
    SELECT batch_id, status, created_by, creation_date, devices_count, coalesce(extra::jsonb, '{}') AS extra
    FROM (SELECT unnest(@batch_id::text[]) AS batch_id,
                 unnest(@status::text[]) AS status,
                 unnest(@created_by::text[]) AS created_by,
                 unnest(@creation_date::timestamptz[]) AS creation_date,
                 unnest(@devices_count::integer[]) AS devices_count,
                 unnest(@extra::text[]) AS extra) i
) i
JOIN partner_center.device_batches k ON customer_id = @customer_id::uuid AND k.batch_id = i.batch_id;
