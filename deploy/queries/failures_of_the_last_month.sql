-- Which customers failed in the last 30 days, from when to when, in how many passes, and why?
-- failing_until is null while it lasts. recovered is false where the customer left meanwhile.
SELECT f.partner, c.company_name, f.failing_since, f.failing_until, f.recovered,
       coalesce(f.failing_until, now()) - f.failing_since AS failed_for,
       f.passes, f.error_code, f.error, f.first_request_id, f.last_request_id
FROM partner_center.sync_failures f
JOIN partner_center.customers c USING (customer_id)
WHERE f.failing_until > now() - interval '30 days' OR f.failing_until IS NULL
ORDER BY f.failing_since DESC, f.partner, c.company_name;
