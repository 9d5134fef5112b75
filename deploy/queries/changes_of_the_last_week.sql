-- What happened to batches in the last seven days?
-- A change happened after changed_after and not later than changed_by. What was there when a customer was first read is not new.
SELECT c.company_name, h.batch_id,
       concat_ws(', ',
           CASE WHEN h.not_before IS NULL THEN 'new'
                WHEN h.removed_at IS NOT NULL THEN 'gone'
                WHEN p.removed_at IS NOT NULL THEN 'back' END,
           CASE WHEN p.customer_id IS NULL THEN coalesce(h.status, 'no status') -- or the version before was pruned
                WHEN p.status IS DISTINCT FROM h.status
                THEN concat(coalesce(p.status, 'no status'), ' -> ', coalesce(h.status, 'no status')) END,
           CASE WHEN p.customer_id IS NOT NULL AND p.devices_count IS DISTINCT FROM h.devices_count
                THEN concat(coalesce(p.devices_count::text, 'unknown'), ' -> ', coalesce(h.devices_count::text, 'unknown'),
                            CASE h.devices_count WHEN 1 THEN ' device' ELSE ' devices' END) END,
           CASE WHEN p.customer_id IS NOT NULL AND p.creation_date IS DISTINCT FROM h.creation_date THEN 'created anew' END,
           CASE WHEN p.customer_id IS NOT NULL AND p.created_by IS DISTINCT FROM h.created_by
                THEN concat('created by ', coalesce(h.created_by, 'nobody known')) END) AS what,
       h.not_before AS changed_after, h.valid_from AS changed_by
FROM partner_center.device_batch_history h
LEFT JOIN partner_center.device_batch_versions p -- the version before
       ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.valid_to = h.valid_from
JOIN partner_center.customers c ON c.customer_id = h.customer_id
WHERE h.valid_from > now() - interval '7 days'
  AND (h.not_before IS NOT NULL OR h.valid_from > c.first_listed_at)
ORDER BY h.valid_from, c.company_name, h.batch_id;
