-- How long do batches take until they are finished: median and 95th percentile, by customer and month (UTC)?
-- Counted in rounds: from when a batch was first seen unfinished to when it was seen finished, once more each time that it is
-- processed again. Rounds that may have begun before we looked are left out.
SELECT c.company_name,
       to_char(r.finished_by AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
       count(*) AS rounds,
       percentile_cont(0.5)  WITHIN GROUP (ORDER BY r.duration) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY r.duration) AS percentile_95
FROM partner_center.device_batch_rounds r
JOIN partner_center.customers c USING (customer_id)
WHERE r.finished_by IS NOT NULL AND r.begin_seen
GROUP BY c.customer_id, c.company_name, month
ORDER BY month DESC, c.company_name;
