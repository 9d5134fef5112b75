-- Which batches ended with errors, when, and how many devices are in them?
SELECT c.company_name, b.batch_id, b.devices_count, b.creation_date, max(s.changed_by) AS finished_by
FROM partner_center.device_batches b
JOIN partner_center.customers c USING (customer_id)
JOIN partner_center.device_batch_status_changes s USING (customer_id, batch_id)
WHERE lower(replace(b.status, '-', '_')) = 'finished_with_errors'
  AND b.removed_at IS NULL
  AND s.to_status = b.status
GROUP BY c.customer_id, c.company_name, b.customer_id, b.batch_id
ORDER BY finished_by DESC, c.company_name, b.batch_id;
