-- Which batches were finished, and then no longer?
SELECT c.company_name, s.batch_id, s.from_status, s.to_status,
       s.time_in_from_status AS was_finished_for, s.changed_after, s.changed_by
FROM partner_center.device_batch_status_changes s
JOIN partner_center.customers c USING (customer_id)
WHERE lower(replace(s.from_status, '-', '_')) IN ('finished', 'finished_with_errors')
  AND coalesce(lower(replace(s.to_status, '-', '_')), '') NOT IN ('finished', 'finished_with_errors')
ORDER BY s.changed_by DESC, c.company_name, s.batch_id;
