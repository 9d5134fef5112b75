-- Which devices are in several batches, or with several customers, by their serial numbers?
-- The case of a serial number and blanks around it do not matter.
SELECT serial_key AS serial_number,
       count(DISTINCT customer_id) AS customers,
       count(*) AS places,
       string_agg(format('%s: %s', coalesce(company_name, customer_id::text), batch_id), ', '
                  ORDER BY company_name, batch_id) AS found_in
FROM partner_center.device_inventory
WHERE serial_key <> ''
GROUP BY serial_key
HAVING count(DISTINCT batch_key) > 1
ORDER BY customers DESC, places DESC, serial_key;
