-- How did all batches stand at a given time?
-- Change the time; without a zone it is in your session's. Of a customer whose history was pruned since then, there is nothing.
SELECT c.company_name, b.batch_id, b.status, b.devices_count, b.creation_date
FROM partner_center.device_batches_as_of('2026-01-31 18:00Z') b
JOIN partner_center.customers c USING (customer_id)
ORDER BY c.company_name, b.batch_id;
