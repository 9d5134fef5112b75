-- +goose Up
-- Hash, since a serial number may be longer than a B-tree takes. The letters are put in upper case as the database's locale
-- has it, which is how upper() does it in the question too.
CREATE INDEX devices_by_serial_key ON partner_center.devices USING hash ((upper(btrim(serial_number))) COLLATE "C");

-- Speed: what a customer's values mean is found once for the customer, and the policies of a device once for each set of them,
-- since PostgreSQL keeps the results of the two subqueries (Memoize). DISTINCT keeps the first apart, and lets the planner know
-- that there is one. The batch is joined as if it might be missing, though it never is: else the planner, who does not know
-- that, expects next to no devices.
CREATE VIEW partner_center.device_inventory AS
SELECT d.customer_id, c.partner, c.company_name, c.domain, d.batch_id, b.status AS batch_status, d.device_id, d.serial_number,
       upper(btrim(d.serial_number)) COLLATE "C" AS serial_key,
       d.product_key, d.oem_manufacturer_name, d.model_name, d.uploaded_date, d.uploaded_by, a.policies,
       partner_center.device_key(d.customer_id, d.batch_id, d.device_id) AS device_key,
       partner_center.batch_key(d.customer_id, d.batch_id) AS batch_key
FROM partner_center.devices d
JOIN partner_center.customers c ON c.customer_id = d.customer_id
LEFT JOIN partner_center.device_batches b ON b.customer_id = d.customer_id AND b.batch_id = d.batch_id
LEFT JOIN LATERAL (
    SELECT DISTINCT v.by_id
    FROM partnersync.policy_values v
    WHERE v.customer_id = d.customer_id
) p ON true
CROSS JOIN LATERAL (
    SELECT string_agg(n.policy_name, ', ' ORDER BY n.policy_key, n.policy_name) AS policies
    FROM (
        SELECT DISTINCT (e ->> 'key') COLLATE "C" AS policy_key,
               coalesce(p.by_id -> lower((e ->> 'value') COLLATE "C") ->> 1, e ->> 'value') COLLATE "C" AS policy_name
        FROM jsonb_array_elements(d.policies) e
        WHERE e ->> 'value' <> ''
    ) n
) a
WHERE d.removed_at IS NULL AND c.removed_at IS NULL;
COMMENT ON VIEW partner_center.device_inventory IS
    'Every device that is listed, of customers that are there: one row each, with its customer, its batch and its policies. A device in several batches has a row for each. A prune (partnersync prune) takes nothing away here.';
COMMENT ON COLUMN partner_center.device_inventory.customer_id IS 'The customer''s Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_inventory.partner IS 'As in customers.';
COMMENT ON COLUMN partner_center.device_inventory.company_name IS 'As in customers.';
COMMENT ON COLUMN partner_center.device_inventory.domain IS 'As in customers.';
COMMENT ON COLUMN partner_center.device_inventory.batch_id IS 'The batch that lists the device.';
COMMENT ON COLUMN partner_center.device_inventory.batch_status IS 'The batch''s status, as in device_batches.';
COMMENT ON COLUMN partner_center.device_inventory.device_id IS 'The device''s id.';
COMMENT ON COLUMN partner_center.device_inventory.serial_number IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.serial_key IS
    'serial_number without blanks before and after it, in upper case; null where that is. To look for a device: WHERE serial_key = upper(btrim(''...'')), which is quick.';
COMMENT ON COLUMN partner_center.device_inventory.product_key IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.oem_manufacturer_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.model_name IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.uploaded_date IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.uploaded_by IS 'As in devices.';
COMMENT ON COLUMN partner_center.device_inventory.policies IS
    'Names of the policies that are assigned, as in device_policies, in the order of their keys and separated by a comma and a blank; null: none is.';
COMMENT ON COLUMN partner_center.device_inventory.device_key IS 'One value that identifies the row: device_key(customer_id, batch_id, device_id).';
COMMENT ON COLUMN partner_center.device_inventory.batch_key IS 'One value that identifies the batch: batch_key(customer_id, batch_id).';

-- +goose Down
DROP VIEW partner_center.device_inventory;
DROP INDEX partner_center.devices_by_serial_key;
