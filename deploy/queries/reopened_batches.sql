-- Which batches were finished, and then no longer?
SELECT c.company_name, s.batch_id, s.from_status, s.to_status,
       s.time_in_from_status AS was_finished_for, s.changed_after, s.changed_by
FROM partner_center.device_batch_status_changes s
JOIN partner_center.customers c USING (customer_id)
WHERE partner_center.is_finished(s.from_status) AND NOT partner_center.is_finished(s.to_status)
ORDER BY s.changed_by DESC, c.company_name, s.batch_id;
