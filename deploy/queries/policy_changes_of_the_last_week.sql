-- Which devices were given another configuration policy in the last seven days, or lost theirs?
-- The API names a policy by its id or by its name; ids of known policies are shown as names.
SELECT c.company_name, h.batch_id, h.device_id, h.serial_number, a.key,
       coalesce(o.name, a.old) AS from_policy,
       coalesce(n.name, a.new) AS to_policy,
       h.not_before AS changed_after, h.valid_from AS changed_by
FROM partner_center.device_history h
JOIN partner_center.device_versions p -- the version before
  ON p.customer_id = h.customer_id AND p.batch_id = h.batch_id AND p.device_id = h.device_id AND p.valid_to = h.valid_from
CROSS JOIN LATERAL (
    SELECT coalesce(x.key, y.key) AS key, x.value AS old, y.value AS new
    FROM jsonb_to_recordset(p.policies) AS x (key text, value text)
    FULL JOIN jsonb_to_recordset(h.policies) AS y (key text, value text) ON y.key = x.key
    WHERE x.value IS DISTINCT FROM y.value
) a
JOIN partner_center.customers c ON c.customer_id = h.customer_id
LEFT JOIN partner_center.configuration_policies o ON o.customer_id = h.customer_id AND o.policy_id = a.old
LEFT JOIN partner_center.configuration_policies n ON n.customer_id = h.customer_id AND n.policy_id = a.new
WHERE h.valid_from > now() - interval '7 days'
ORDER BY h.valid_from, c.company_name, h.batch_id, h.device_id, a.key;
