-- How many devices were uploaded on each of the last 30 days (UTC), by customer?
-- Devices that have gone since are counted too; one that was uploaded again counts on both days, unless
-- the version before was pruned.
SELECT (h.uploaded_date AT TIME ZONE 'UTC')::date AS day,
       c.company_name,
       count(DISTINCT (h.batch_id, h.device_id)) AS devices
FROM partner_center.device_history h
JOIN partner_center.customers c USING (customer_id)
WHERE h.uploaded_date > now() - interval '30 days'
GROUP BY day, c.customer_id, c.company_name
ORDER BY day DESC, c.company_name;
