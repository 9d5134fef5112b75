-- How many devices has each configuration policy: by the devices' own lists, and as the API counts them?
SELECT c.company_name, p.category, p.name, count(DISTINCT d.device_key) AS devices, p.devices_assigned_count
FROM partner_center.configuration_policies p
JOIN partner_center.customers c USING (customer_id)
LEFT JOIN partner_center.device_policies d ON d.customer_id = p.customer_id AND d.policy_id = p.policy_id
WHERE p.removed_at IS NULL AND c.removed_at IS NULL
GROUP BY c.customer_id, c.company_name, p.customer_id, p.policy_id
ORDER BY c.company_name, p.category, p.name, p.policy_id;
