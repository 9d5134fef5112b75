-- How many devices has each configuration policy: by the devices' own lists, and as the API counts them?
SELECT c.company_name, p.category, p.name, coalesce(sum(d.devices), 0)::bigint AS devices, p.devices_assigned_count
FROM partner_center.configuration_policies p
JOIN partner_center.customers c USING (customer_id)
LEFT JOIN ( -- many devices have the same policies
    SELECT customer_id, policies, count(*) AS devices
    FROM partner_center.devices
    WHERE removed_at IS NULL
    GROUP BY customer_id, policies
) d ON d.customer_id = p.customer_id
   AND EXISTS (
       SELECT 1
       FROM jsonb_to_recordset(d.policies) AS a (key text, value text)
       WHERE a.key = p.category AND a.value IN (p.policy_id, p.name))
WHERE p.removed_at IS NULL
GROUP BY c.customer_id, c.company_name, p.customer_id, p.policy_id
ORDER BY c.company_name, p.category, p.name, p.policy_id;
