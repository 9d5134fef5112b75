-- +goose Up
-- A device is looked for by its serial number, or by its id where it has none, in all batches of all customers.
CREATE INDEX device_versions_by_serial_key ON partner_center.device_versions USING hash ((upper(btrim(serial_number))) COLLATE "C");
CREATE INDEX devices_without_serial_key ON partner_center.devices (device_id)
    WHERE coalesce(upper(btrim(serial_number)) COLLATE "C", '') = '';
CREATE INDEX device_versions_without_serial_key ON partner_center.device_versions (device_id)
    WHERE coalesce(upper(btrim(serial_number)) COLLATE "C", '') = '';

-- For each departure d the same device's listings that reached that time or began later are looked up, and the first of them is
-- taken: a. It is a move if it began later, alone and elsewhere. A listing o reaches to the last time at which it was seen: the
-- next version begins where it ends, but a removal r happened at some time since r.not_before, and of a customer that left
-- nothing is seen any more. One that was seen while the device that left was there too (s) may have reached that time if it had
-- not been missed by then.
CREATE VIEW partner_center.device_moves AS
SELECT d.customer_id, d.batch_id, d.device_id, d.serial_number,
       a.customer_id AS to_customer_id, a.batch_id AS to_batch_id, a.device_id AS to_device_id,
       d.left_after, d.left_by, a.arrived_after, a.arrived_by,
       partner_center.device_key(d.customer_id, d.batch_id, d.device_id) AS device_key,
       partner_center.batch_key(d.customer_id, d.batch_id) AS batch_key,
       partner_center.device_key(a.customer_id, a.batch_id, a.device_id) AS to_device_key,
       partner_center.batch_key(a.customer_id, a.batch_id) AS to_batch_key,
       d.serial_key
FROM (
    SELECT h.customer_id, h.batch_id, h.device_id, h.serial_number,
           upper(btrim(h.serial_number)) COLLATE "C" AS serial_key,
           h.not_before AS left_after, h.valid_from AS left_by
    FROM partner_center.device_history h
    WHERE h.removed_at IS NOT NULL
) d
JOIN partner_center.customers dc ON dc.customer_id = d.customer_id
CROSS JOIN LATERAL (
    SELECT coalesce(max(v.valid_to) FILTER (WHERE v.removed_at IS NOT NULL), min(v.valid_from)) AS listed_by
    FROM partner_center.device_versions v
    WHERE v.customer_id = d.customer_id AND v.batch_id = d.batch_id AND v.device_id = d.device_id AND v.valid_to <= d.left_by
) s
CROSS JOIN LATERAL (
    SELECT o.customer_id, o.batch_id, o.device_id, o.not_before AS arrived_after, o.valid_from AS arrived_by,
           lead(o.valid_from) OVER (ORDER BY o.valid_from) AS next_by
    FROM partner_center.device_history o
    LEFT JOIN partner_center.device_history r
           ON r.customer_id = o.customer_id AND r.batch_id = o.batch_id AND r.device_id = o.device_id AND r.valid_from = o.valid_to
          AND r.removed_at IS NOT NULL
    LEFT JOIN partner_center.customers c ON c.customer_id = o.customer_id AND o.is_current
    WHERE (upper(btrim(o.serial_number)) COLLATE "C" = d.serial_key AND d.serial_key <> ''
           OR o.device_id = d.device_id AND coalesce(upper(btrim(o.serial_number)) COLLATE "C", '') = '' AND coalesce(d.serial_key, '') = '')
      AND o.removed_at IS NULL
      AND coalesce(r.not_before, o.valid_to, c.removed_at, 'infinity') >= CASE WHEN r.valid_from > d.left_after THEN s.listed_by ELSE d.left_after END
      AND NOT (o.customer_id = d.customer_id AND o.batch_id = d.batch_id AND o.device_id = d.device_id AND o.valid_from < d.left_by)
    ORDER BY o.valid_from
    LIMIT 1
) a
JOIN partner_center.customers ac ON ac.customer_id = a.customer_id
LEFT JOIN partner_center.device_versions p
       ON p.customer_id = a.customer_id AND p.batch_id = a.batch_id AND p.device_id = a.device_id AND p.valid_to = a.arrived_by
WHERE a.arrived_by > d.left_after AND (a.next_by > a.arrived_by) IS NOT FALSE
  AND (a.customer_id <> d.customer_id OR a.batch_id <> d.batch_id)
  AND (a.arrived_after IS NULL OR p.removed_at IS NOT NULL) -- else the serial number is new, and not the device
  AND d.left_after >= greatest(dc.pruned_before, ac.pruned_before, '-infinity');
COMMENT ON VIEW partner_center.device_moves IS
    'Devices that left one batch or customer and turned up in another. The serial number, without blanks around it and in any case, says that it is the same; of devices without one the id. Each departure, also one with its whole batch, goes with the first arrival after it, however long after; a device that came back to where it had been has not moved. Where several listed devices had the serial number at once then, nothing is shown. A customer''s leaving takes no device away. Once versions of either customer were pruned (partnersync prune), moves from before customers.pruned_before are not shown.';
COMMENT ON COLUMN partner_center.device_moves.customer_id IS 'The customer that the device left: its Microsoft Entra tenant id.';
COMMENT ON COLUMN partner_center.device_moves.batch_id IS 'The batch that it left.';
COMMENT ON COLUMN partner_center.device_moves.device_id IS 'Its id there.';
COMMENT ON COLUMN partner_center.device_moves.serial_number IS 'Its serial number, as it was there; null where it has none.';
COMMENT ON COLUMN partner_center.device_moves.to_customer_id IS 'The customer where it turned up; the same one where only the batch is another.';
COMMENT ON COLUMN partner_center.device_moves.to_batch_id IS 'The batch where it turned up.';
COMMENT ON COLUMN partner_center.device_moves.to_device_id IS 'Its id there.';
COMMENT ON COLUMN partner_center.device_moves.left_after IS 'It left after this time: when it was last listed there.';
COMMENT ON COLUMN partner_center.device_moves.left_by IS 'It had left by this time.';
COMMENT ON COLUMN partner_center.device_moves.arrived_after IS 'It arrived after this time; null where it had never been in that batch before, so that only arrived_by is known.';
COMMENT ON COLUMN partner_center.device_moves.arrived_by IS 'It had arrived by this time, which may be before left_by: the lists are not read at once.';
COMMENT ON COLUMN partner_center.device_moves.device_key IS 'One value that identifies it where it left: device_key(customer_id, batch_id, device_id).';
COMMENT ON COLUMN partner_center.device_moves.batch_key IS 'One value that identifies the batch that it left: batch_key(customer_id, batch_id).';
COMMENT ON COLUMN partner_center.device_moves.to_device_key IS 'One value that identifies it where it turned up.';
COMMENT ON COLUMN partner_center.device_moves.to_batch_key IS 'One value that identifies the batch where it turned up.';
COMMENT ON COLUMN partner_center.device_moves.serial_key IS 'As in device_inventory, of the device where it left. To look for the moves of a device: WHERE serial_key = upper(btrim(''...'')), which is quick.';

-- +goose Down
DROP VIEW partner_center.device_moves;
DROP INDEX partner_center.device_versions_without_serial_key;
DROP INDEX partner_center.devices_without_serial_key;
DROP INDEX partner_center.device_versions_by_serial_key;
