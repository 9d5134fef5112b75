-- Which configuration policies did each customer have at a given time, and which settings did they have?
-- Change the time; without a zone it is in your session's. Of a customer whose history was pruned since then, there is nothing.
SELECT c.company_name, p.category, p.name, p.policy_settings, p.last_modified_date
FROM partner_center.configuration_policies_as_of('2026-01-31 18:00Z') p
JOIN partner_center.customers c USING (customer_id)
ORDER BY c.company_name, p.category, p.name, p.policy_id;
