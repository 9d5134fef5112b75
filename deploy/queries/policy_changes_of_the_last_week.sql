-- Which devices were given another configuration policy in the last seven days, or lost theirs?
WITH changes AS MATERIALIZED ( -- found first, and then joined
    SELECT *
    FROM partner_center.device_policy_changes
    WHERE changed_by > now() - interval '7 days'
      AND changed_after IS NOT NULL -- a device that is new has its first policies without a change
)
SELECT c.company_name, p.batch_id, p.device_id, d.serial_number, p.policy_key,
       p.from_policy_name AS from_policy, p.to_policy_name AS to_policy, p.changed_after, p.changed_by
FROM changes p
JOIN partner_center.devices d USING (customer_id, batch_id, device_id)
JOIN partner_center.customers c USING (customer_id)
ORDER BY p.changed_by, c.company_name, p.batch_id, p.device_id, p.policy_key;
