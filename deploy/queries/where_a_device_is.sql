-- Where is the device with this serial number now, and which configuration policies has it?
-- Change the serial number: its case and blanks around it do not matter.
SELECT company_name, batch_id, batch_status, device_id, serial_number, model_name, policies, uploaded_date
FROM partner_center.device_inventory
WHERE serial_key = upper(btrim('cr3-owg684'))
ORDER BY company_name, batch_id, device_id;
