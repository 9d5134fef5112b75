-- How long do batches take until they are finished: median and 95th percentile, by customer and month (UTC)?
-- Counted from the first time that a batch was seen; those that were finished by then are left out.
WITH finished AS (
    SELECT customer_id, batch_id, min(changed_by) AS finished_at
    FROM partner_center.device_batch_status_changes
    WHERE from_status IS NOT NULL AND lower(replace(to_status, '-', '_')) IN ('finished', 'finished_with_errors')
    GROUP BY customer_id, batch_id
), first_seen AS (
    SELECT customer_id, batch_id, min(valid_from) AS first_seen_at
    FROM partner_center.device_batch_history
    GROUP BY customer_id, batch_id
)
SELECT c.company_name,
       to_char(f.finished_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
       count(*) AS batches,
       percentile_cont(0.5)  WITHIN GROUP (ORDER BY f.finished_at - s.first_seen_at) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY f.finished_at - s.first_seen_at) AS percentile_95
FROM finished f
JOIN first_seen s USING (customer_id, batch_id)
JOIN partner_center.customers c USING (customer_id)
GROUP BY c.customer_id, c.company_name, month
ORDER BY month DESC, c.company_name;
