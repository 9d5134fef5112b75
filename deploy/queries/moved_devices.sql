-- Which devices moved to another batch or customer in the last 30 days?
-- A device left after left_after and not later than left_by, and arrived likewise; arrived_after is null where it is new there.
SELECT c.company_name, m.batch_id, m.device_id, m.serial_number,
       t.company_name AS to_company_name, m.to_batch_id, m.to_device_id,
       m.left_after, m.left_by, m.arrived_after, m.arrived_by
FROM partner_center.device_moves m
JOIN partner_center.customers c ON c.customer_id = m.customer_id
JOIN partner_center.customers t ON t.customer_id = m.to_customer_id
WHERE m.arrived_by > now() - interval '30 days'
ORDER BY m.arrived_by DESC, c.company_name, m.batch_id, m.device_id;
