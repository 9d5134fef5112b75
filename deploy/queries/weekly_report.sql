-- What happened to each customer's batches and devices in the last whole week (Monday to Sunday, UTC)?
-- Change the day: any of the week. Other times, such as months: partner_center.customer_report_between.
SELECT company_name, batches_begun, batches_finished, batches_finished_with_errors, batches_unfinished,
       devices_added, devices_moved, devices_gone, time_to_finish_median, time_to_finish_p90, last_success_at
FROM partner_center.weekly_customer_report(current_date - 7)
ORDER BY company_name, customer_id;
