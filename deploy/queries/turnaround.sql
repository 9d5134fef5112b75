-- How long do batches take until they are finished: median and 95th percentile, by customer and month (UTC)?
-- Counted from the creation of a batch to when it was first seen finished; those that were finished when they were first
-- seen at all are left out, and so are those whose first version was pruned.
SELECT c.company_name,
       to_char(t.finished_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
       count(*) AS batches,
       percentile_cont(0.5)  WITHIN GROUP (ORDER BY t.duration) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY t.duration) AS percentile_95
FROM partner_center.device_batch_turnaround t
JOIN partner_center.customers c USING (customer_id)
WHERE t.finished_at IS NOT NULL
GROUP BY c.customer_id, c.company_name, month
ORDER BY month DESC, c.company_name;
