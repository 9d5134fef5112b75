-- Which batches ended with errors, when, and how many devices are in them?
-- finished_by is null where the version before was pruned.
SELECT c.company_name, b.batch_id, b.devices_count, b.creation_date, max(s.changed_by) AS finished_by
FROM partner_center.device_batches b
JOIN partner_center.customers c USING (customer_id)
LEFT JOIN partner_center.device_batch_status_changes s
       ON s.customer_id = b.customer_id AND s.batch_id = b.batch_id AND s.to_status = b.status
WHERE replace(lower(b.status), '-', '_') = 'finished_with_errors' AND b.removed_at IS NULL AND c.removed_at IS NULL
GROUP BY c.customer_id, c.company_name, b.customer_id, b.batch_id
ORDER BY finished_by DESC NULLS LAST, c.company_name, b.batch_id;
