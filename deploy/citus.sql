-- Spreads the data over the nodes of a Citus cluster (https://www.citusdata.com), for when one PostgreSQL server is no
-- longer enough. Nobody needs it before: one server takes in some hundred thousand rows a second.
--
-- The tables of partner_center are distributed by customer_id, and all of a customer's rows are on one node, so that a
-- customer is compared and written there. The tables of partnersync, a few rows for each list, stay on the coordinator.
--
-- Run it once, in a database with the extension citus, on the coordinator, as the owner of the tables, after the
-- migrations: on an empty database or on a filled one, whose rows are moved. Stop the daemons first; a table cannot be
-- written to while it is moved. Tables that a later release adds are in that release's file: run their lines.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/citus.sql "$DATABASE_URL"
--
-- What was tried, with Citus 13.2, one coordinator and two workers, on the layout and the merge of device batches: the
-- merge runs there as it is, since it names its columns (references to whole rows fail); its comparison, a SELECT of its
-- own, is one task on one worker; comparison and writing in a single statement would be split into several steps, 3.6 ms
-- for each customer. This file as a whole, and the statements that have come since, were tried on PostgreSQL alone. What
-- holds by test is what Citus asks of them: each key begins with customer_id, and each statement of a pass on batches,
-- devices or policies is about one customer.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT create_distributed_table('partner_center.customers', 'customer_id');
SELECT create_distributed_table('partner_center.customer_versions', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.device_batches', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.device_batch_versions', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.devices', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.device_versions', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.configuration_policies', 'customer_id', colocate_with => 'partner_center.customers');
SELECT create_distributed_table('partner_center.configuration_policy_versions', 'customer_id', colocate_with => 'partner_center.customers');

COMMIT;
