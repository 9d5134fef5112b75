-- Which devices have no configuration policy?
SELECT company_name, batch_id, device_id, serial_number, model_name, uploaded_date
FROM partner_center.device_inventory
WHERE policies IS NULL
ORDER BY company_name, batch_id, device_id;
