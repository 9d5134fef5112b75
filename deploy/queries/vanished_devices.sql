-- Which devices vanished in the last 30 days, and did their whole batch go?
-- Devices that moved to another batch or customer are left out.
SELECT c.company_name, d.batch_id, d.device_id, d.serial_number, d.model_name,
       b.removed_at IS NOT NULL AS batch_is_gone,
       d.not_before AS gone_after, d.removed_at AS gone_by
FROM partner_center.devices d
JOIN partner_center.device_batches b USING (customer_id, batch_id)
JOIN partner_center.customers c USING (customer_id)
WHERE d.removed_at > now() - interval '30 days'
  AND NOT EXISTS (
      SELECT
      FROM partner_center.device_moves m
      WHERE m.customer_id = d.customer_id AND m.batch_id = d.batch_id AND m.device_id = d.device_id AND m.left_by = d.removed_at)
ORDER BY d.removed_at DESC, c.company_name, d.batch_id, d.device_id;
