-- Which batches' devices have not been read for two days, or never?
SELECT c.company_name, l.batch_id, l.listed_at, l.devices
FROM partner_center.device_list_freshness l
JOIN partner_center.customers c USING (customer_id)
WHERE l.listed_at IS NULL OR l.listed_at < now() - interval '2 days'
ORDER BY l.listed_at NULLS FIRST, c.company_name, l.batch_id;
