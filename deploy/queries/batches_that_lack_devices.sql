-- Which batches say that they have more devices, or fewer, than are listed in them?
-- Batches whose devices were never read as a whole are left out.
SELECT c.company_name, b.batch_id, b.status, b.devices_count, l.devices AS listed, l.listed_at
FROM partner_center.device_batches b
JOIN partner_center.device_list_freshness l USING (customer_id, batch_id)
JOIN partner_center.customers c USING (customer_id)
WHERE b.devices_count <> l.devices
ORDER BY c.company_name, b.batch_id;
