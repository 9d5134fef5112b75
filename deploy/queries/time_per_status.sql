-- How much time have batches spent in each status, by customer?
-- From when they were first seen in it, without the time in which they, or the customer, were gone. Periods that began before
-- the history was pruned are not in it.
SELECT c.company_name, p.status,
       count(DISTINCT p.batch_id) AS batches,
       sum(p.duration) AS total,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY p.duration) AS median
FROM partner_center.device_batch_status_periods p
JOIN partner_center.customers c USING (customer_id)
WHERE p.duration IS NOT NULL
GROUP BY c.customer_id, c.company_name, p.status
ORDER BY c.company_name, p.status;
