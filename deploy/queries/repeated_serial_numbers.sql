-- Which devices are in several batches, or with several customers, by their serial numbers?
SELECT d.serial_number,
       count(DISTINCT d.customer_id) AS customers,
       count(*) AS places,
       string_agg(format('%s: %s', coalesce(c.company_name, c.customer_id::text), d.batch_id), ', '
                  ORDER BY c.company_name, d.batch_id) AS found_in
FROM partner_center.devices d
JOIN partner_center.customers c USING (customer_id)
WHERE d.removed_at IS NULL AND c.removed_at IS NULL AND d.serial_number <> ''
GROUP BY d.serial_number
HAVING count(DISTINCT (d.customer_id, d.batch_id)) > 1
ORDER BY customers DESC, places DESC, d.serial_number;
