package storetest

// View is a query over all rows of a view or function for analysts. It aggregates a column of the rows' own, so
// that the planner cannot leave out what a reader would see. All of them have customer_id, for a WHERE.
type View struct{ Name, Query string }

// Views are the views and functions for analysts that grow with the history.
var Views = []View{
	{"device_batch_history", `
		SELECT count(*), max(devices_count)
		FROM partner_center.device_batch_history`},
	{"device_batch_status_changes", `
		SELECT count(*), max(time_in_from_status)
		FROM partner_center.device_batch_status_changes`},
	{"unfinished_device_batches", `
		SELECT count(*), max(in_status_for)
		FROM partner_center.unfinished_device_batches`},
	{"device_batches_as_of", `
		SELECT count(*), sum(devices_count)
		FROM partner_center.device_batches_as_of(now() - interval '200 days')`},
	{"device_batch_rounds", `
		SELECT count(*), max(duration)
		FROM partner_center.device_batch_rounds`},
	{"device_batch_status_periods", `
		SELECT count(*), max(duration)
		FROM partner_center.device_batch_status_periods`},
	{"daily_device_batch_statuses", `
		SELECT count(*), sum(batches)
		FROM partner_center.daily_device_batch_statuses`},
	{"daily_devices", `
		SELECT count(*), sum(devices)
		FROM partner_center.daily_devices`},
	{"customer_history", `
		SELECT count(*), max(valid_from)
		FROM partner_center.customer_history`},
	{"device_history", `
		SELECT count(*), max(serial_number)
		FROM partner_center.device_history`},
	{"devices_as_of", `
		SELECT count(*), max(serial_number)
		FROM partner_center.devices_as_of(now() - interval '200 days')`},
	{"device_inventory", `
		SELECT count(*), max(serial_key), max(policies), max(batch_status)
		FROM partner_center.device_inventory`},
	{"device_policies", `
		SELECT count(*), max(policy_name)
		FROM partner_center.device_policies`},
	{"device_list_freshness", `
		SELECT count(*), sum(devices)
		FROM partner_center.device_list_freshness`},
	{"device_moves", `
		SELECT count(*), max(arrived_by)
		FROM partner_center.device_moves`},
	{"device_policy_changes", `
		SELECT count(*), max(to_policy_name)
		FROM partner_center.device_policy_changes`},
	{"configuration_policy_history", `
		SELECT count(*), max(name)
		FROM partner_center.configuration_policy_history`},
	{"sync_failures", `
		SELECT count(*), max(passes)
		FROM partner_center.sync_failures`},
	{"freshness_as_of", `
		SELECT count(*), max(age)
		FROM partner_center.freshness_as_of(now() - interval '200 days')`},
	{"configuration_policies_as_of", `
		SELECT count(*), max(name)
		FROM partner_center.configuration_policies_as_of(now() - interval '200 days')`},
	{"weekly_customer_report", `
		SELECT count(*), max(batches_finished), max(devices_moved), max(devices_gone), max(last_success_at)
		FROM partner_center.weekly_customer_report((now() - interval '200 days')::date)`},
	{"sync_freshness", `
		SELECT count(*), max(age)
		FROM partner_center.sync_freshness`},
}
