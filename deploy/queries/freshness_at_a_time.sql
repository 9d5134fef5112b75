-- How fresh was each customer's data at a given time, and which customers were failing?
-- Change the time; without a zone it is in your session's. last_success_at is null for a customer that was never synced by then.
SELECT f.partner, c.company_name, f.last_success_at, f.age, f.failing_since, f.error_code
FROM partner_center.freshness_as_of('2026-01-31 18:00Z') f
JOIN partner_center.customers c USING (customer_id)
ORDER BY f.age DESC NULLS FIRST, c.company_name;
