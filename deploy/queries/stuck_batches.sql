-- Which batches have not moved for a day, and for how long?
-- Change the interval as you like. How long is unknown where the history was pruned: since before that.
SELECT c.company_name, u.batch_id, u.status, u.devices_count, u.status_since, u.in_status_for, u.age
FROM partner_center.unfinished_device_batches u
JOIN partner_center.customers c USING (customer_id)
WHERE u.in_status_for > interval '1 day' OR u.in_status_for IS NULL
ORDER BY u.in_status_for DESC NULLS FIRST, c.company_name, u.batch_id;
