-- Which customers have not been synced for a day, why, and which request id can be quoted to Microsoft?
-- last_success_at is null for a customer that was never synced.
SELECT f.partner, f.company_name, f.last_success_at, f.age, f.consecutive_failures,
       f.last_error_code, f.last_error, f.last_request_id
FROM partner_center.sync_freshness f
WHERE f.last_success_at IS NULL OR f.age > interval '1 day'
ORDER BY f.age DESC NULLS FIRST, f.company_name;
