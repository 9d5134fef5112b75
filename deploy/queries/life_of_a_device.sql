-- What has become of one device, wherever it was?
-- Change the serial number: its case and blanks around it do not matter.
SELECT c.company_name, h.batch_id, h.device_id,
       CASE WHEN h.removed_at IS NULL THEN 'listed' ELSE 'gone' END AS state,
       h.policies, h.uploaded_date, h.not_before AS changed_after, h.valid_from, h.valid_to
FROM partner_center.device_history h
JOIN partner_center.customers c USING (customer_id)
WHERE upper(btrim(h.serial_number)) COLLATE "C" = upper(btrim('CR3-OWG684'))
ORDER BY h.valid_from, c.company_name, h.batch_id, h.device_id;
