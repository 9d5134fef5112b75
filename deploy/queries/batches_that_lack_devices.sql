-- Which batches say that they have more devices, or fewer, than are listed in them?
SELECT c.company_name, b.batch_id, b.status, b.devices_count, count(d.device_id) AS listed
FROM partner_center.device_batches b
JOIN partner_center.customers c USING (customer_id)
LEFT JOIN partner_center.devices d
       ON d.customer_id = b.customer_id AND d.batch_id = b.batch_id AND d.removed_at IS NULL
WHERE b.removed_at IS NULL
GROUP BY c.customer_id, c.company_name, b.customer_id, b.batch_id
HAVING b.devices_count <> count(d.device_id)
ORDER BY c.company_name, b.batch_id;
