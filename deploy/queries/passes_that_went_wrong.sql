-- Which passes of the last day did not go well, and how many customers failed in them?
SELECT r.partner, r.kind, r.state, r.started_at, r.finished_at - r.started_at AS took,
       r.customers_failed, r.customers_total, r.requests, r.retries, r.error
FROM partner_center.sync_runs r
WHERE r.started_at > now() - interval '1 day' AND r.state NOT IN ('running', 'complete')
ORDER BY r.started_at DESC, r.partner;
