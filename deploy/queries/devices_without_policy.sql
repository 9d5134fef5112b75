-- Which devices have no configuration policy?
SELECT c.company_name, d.batch_id, d.device_id, d.serial_number, d.model_name, d.uploaded_date
FROM partner_center.devices d
JOIN partner_center.customers c USING (customer_id)
WHERE d.removed_at IS NULL AND c.removed_at IS NULL
  AND NOT EXISTS (
      SELECT 1
      FROM jsonb_to_recordset(d.policies) AS p (key text, value text)
      WHERE p.value <> '')
ORDER BY c.company_name, d.batch_id, d.device_id;
