-- How many devices were uploaded on each of the last 30 days (UTC), by customer?
-- Devices that have gone since are counted too; one that moved counts where it was first, and one that was uploaded again on
-- both days, unless the version before was pruned.
SELECT (h.uploaded_date AT TIME ZONE 'UTC')::date AS day,
       c.company_name,
       count(DISTINCT (h.batch_id, h.device_id)) AS devices
FROM partner_center.device_history h
JOIN partner_center.customers c USING (customer_id)
WHERE h.uploaded_date > now() - interval '30 days'
  AND NOT EXISTS (
      SELECT
      FROM partner_center.device_moves m
      JOIN partner_center.device_history b -- where it was before
           ON b.customer_id = m.customer_id AND b.batch_id = m.batch_id AND b.device_id = m.device_id
      WHERE m.to_customer_id = h.customer_id AND m.to_batch_id = h.batch_id AND m.to_device_id = h.device_id
        AND (b.uploaded_date AT TIME ZONE 'UTC')::date = (h.uploaded_date AT TIME ZONE 'UTC')::date)
GROUP BY day, c.customer_id, c.company_name
ORDER BY day DESC, c.company_name;
