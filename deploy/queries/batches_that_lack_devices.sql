-- Which batches say that they have more devices, or fewer, than are listed in them?
SELECT c.company_name, b.batch_id, b.status, b.devices_count, coalesce(d.listed, 0) AS listed
FROM partner_center.device_batches b
JOIN partner_center.customers c USING (customer_id)
LEFT JOIN (
    SELECT customer_id, batch_id, count(*) AS listed
    FROM partner_center.devices
    WHERE removed_at IS NULL
    GROUP BY customer_id, batch_id
) d USING (customer_id, batch_id)
WHERE b.removed_at IS NULL AND b.devices_count <> coalesce(d.listed, 0)
ORDER BY c.company_name, b.batch_id;
