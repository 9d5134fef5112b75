-- Spreads the data over the nodes of a Citus cluster (https://www.citusdata.com), for when one PostgreSQL server is no longer
-- enough: deploy/citus.md says when that is, and how to set up and run such a cluster.
--
--   psql -v ON_ERROR_STOP=1 -f deploy/citus.sql "$DATABASE_URL"
--
-- Run it in a database with the extension citus, on the coordinator, as the owner of the tables, after the migrations: on an
-- empty database, or on a filled one, whose rows are moved. Stop the daemons first; a table cannot be written to while it is
-- moved. Run it again after every upgrade: it distributes what is not distributed yet, and says what it did.
--
-- Batches, devices and policies with their versions are distributed by customer_id, all of a customer's rows on one node, so
-- that a customer is compared and written there. The customers themselves are on every node, to be joined with. The tables of
-- partnersync stay on the coordinator; Citus knows list_state, which each merge writes, so that a merge commits on both or
-- on neither (in two phases).

SET search_path = pg_catalog, pg_temp;
SET citus.multi_shard_modify_mode = 'sequential';
SET client_min_messages = notice;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'the database has no extension citus: run CREATE EXTENSION citus in it, on each node';
    ELSIF to_regclass('partner_center.device_batches') IS NULL THEN
        RAISE EXCEPTION 'there are no tables to distribute: run partnersync migrate up first';
    ELSIF NOT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0) THEN
        RAISE EXCEPTION 'the coordinator does not know under which name the workers reach it: run SELECT citus_set_coordinator_host(''its name'', its port)';
    END IF;
END
$$;

-- A function in SQL over distributed tables is refused; the same query is planned where PL/pgSQL runs it.
DO $$
DECLARE
    function record;
BEGIN
    FOR function IN
        SELECT p.oid::regprocedure AS name,
               format('%I.%I(%s) RETURNS %s', n.nspname, p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) AS head,
               regexp_replace(regexp_replace(pg_get_function_sqlbody(p.oid), '^BEGIN ATOMIC\s', ''), ';\s*END$', '') AS query,
               concat_ws(' ', obj_description(p.oid, 'pg_proc'), CASE WHEN p.proname ~ '^(device|configuration).*_as_of$' THEN
                   'In this cluster it reads all customers. One that was there then is quicker to ask for in the history: WHERE customer_id = … '
                   'AND valid_from <= at AND (valid_to > at OR valid_to IS NULL) AND removed_at IS NULL.' END) AS comment
        FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'partner_center' AND p.prosqlbody IS NOT NULL
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass)
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION %s LANGUAGE plpgsql STABLE PARALLEL SAFE AS %L', function.head,
                       format(E'#variable_conflict use_column\nBEGIN\n    RETURN QUERY %s;\nEND', function.query));
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', function.name, function.comment);
        RAISE NOTICE '% is in PL/pgSQL now', function.name;
    END LOOP;
END
$$;

-- Each in a transaction of its own, the first of those that are distributed first.
DO $$
DECLARE
    relation record;
    comments text[];
    comment  text;
BEGIN
    FOR relation IN
        SELECT c.oid::regclass AS name, c.relname, c.relname IN ('customers', 'customer_versions') AS everywhere
        FROM pg_class c
        WHERE c.relnamespace = 'partner_center'::regnamespace AND c.relkind = 'r'
          AND NOT EXISTS (SELECT FROM pg_dist_partition p WHERE p.logicalrelid = c.oid)
        ORDER BY everywhere DESC, c.relname <> 'device_batches', c.relname
    LOOP
        IF relation.everywhere THEN
            PERFORM create_reference_table(relation.name);
        ELSIF relation.relname = 'device_batches' THEN
            PERFORM create_distributed_table(relation.name, 'customer_id');
        ELSE
            PERFORM create_distributed_table(relation.name, 'customer_id', colocate_with => 'partner_center.device_batches');
        END IF;
        RAISE NOTICE '% is %', relation.name, CASE WHEN relation.everywhere THEN 'on every node now' ELSE 'distributed now' END;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'partnersync.list_state'::regclass) THEN
        -- It and the views of it are made anew, without their comments.
        SELECT array_agg(CASE WHEN d.objsubid = 0
                              THEN format('COMMENT ON %s %s IS %L', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass, d.description)
                              ELSE format('COMMENT ON COLUMN %s.%I IS %L', c.oid::regclass, a.attname, d.description) END)
        INTO comments
        FROM pg_description d
        JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
        WHERE c.relkind = 'v' AND c.relnamespace IN ('partner_center'::regnamespace, 'partnersync'::regnamespace)
           OR c.oid = 'partnersync.list_state'::regclass;
        PERFORM citus_add_local_table_to_metadata('partnersync.list_state');
        FOREACH comment IN ARRAY comments LOOP
            EXECUTE comment;
        END LOOP;
        RAISE NOTICE 'partnersync.list_state is known to Citus now';
    END IF;
END
$$;

-- Where a device went, in whatever customer and so on whatever node, is looked up for each departure d on one server. Here the
-- departures are read first and handed to all shards, where each is joined with the listings o of the same device (listed) and
-- with its own earlier versions (own); the coordinator takes the first listing of each.
-- A condition on the customer or the serial number must reach the tables that departures are read from, or all are read:
--   - the windows are partitioned by both, for PostgreSQL to hand it down;
--   - Citus hands it on to a table that is outer joined with what is on no shard (one), where an outer join is left (with p);
--   - LATERAL has both tables of listings searched by their indexes, also where this view is outer joined itself.
CREATE OR REPLACE VIEW partner_center.device_moves AS
SELECT a.customer_id, a.batch_id, a.device_id, a.serial_number, a.to_customer_id, a.to_batch_id, a.to_device_id,
       a.left_after, a.left_by, a.arrived_after, a.arrived_by,
       partner_center.device_key(a.customer_id, a.batch_id, a.device_id) AS device_key,
       partner_center.batch_key(a.customer_id, a.batch_id) AS batch_key,
       partner_center.device_key(a.to_customer_id, a.to_batch_id, a.to_device_id) AS to_device_key,
       partner_center.batch_key(a.to_customer_id, a.to_batch_id) AS to_batch_key,
       a.serial_key
FROM (
    SELECT l.*, row_number() OVER departure AS position, lead(l.arrived_by) OVER departure AS next_by
    FROM (
        SELECT d.*, o.customer_id AS to_customer_id, o.batch_id AS to_batch_id, o.device_id AS to_device_id,
               o.not_before AS arrived_after, o.valid_from AS arrived_by, o.listed, o.own, o.missed_after, o.valid_to,
               o.not_before IS NULL OR p.removed_at IS NOT NULL AS arrives,
               coalesce(max(o.valid_to) FILTER (WHERE o.own AND o.valid_to <= d.left_by AND o.removed_at IS NOT NULL) OVER departure,
                        min(o.valid_from) FILTER (WHERE o.own AND o.valid_to <= d.left_by) OVER departure) AS listed_by,
               (SELECT max(c.pruned_before) FROM partner_center.customers c
                WHERE c.customer_id IN (d.customer_id, o.customer_id)) AS pruned_before
        FROM (
            SELECT h.customer_id, h.batch_id, h.device_id, h.serial_number, upper(btrim(h.serial_number)) COLLATE "C" AS serial_key,
                   h.not_before AS left_after, h.valid_from AS left_by
            FROM (VALUES (1)) one
            LEFT JOIN partner_center.devices h ON true
            WHERE h.removed_at IS NOT NULL
            UNION ALL
            SELECT h.customer_id, h.batch_id, h.device_id, h.serial_number, upper(btrim(h.serial_number)) COLLATE "C",
                   h.not_before, h.valid_from
            FROM (VALUES (1)) one
            LEFT JOIN partner_center.device_versions h ON true
            WHERE h.removed_at IS NOT NULL
        ) d
        CROSS JOIN LATERAL (
            SELECT o.customer_id, o.batch_id, o.device_id, o.not_before, o.valid_from, o.removed_at, true AS listed,
                   o.customer_id = d.customer_id AND o.batch_id = d.batch_id AND o.device_id = d.device_id AS own,
                   (SELECT c.removed_at FROM partner_center.customers c WHERE c.customer_id = o.customer_id) AS valid_to,
                   NULL::timestamptz AS missed_after
            FROM partner_center.devices o
            WHERE (upper(btrim(o.serial_number)) COLLATE "C" = d.serial_key AND d.serial_key <> ''
                   OR o.device_id = d.device_id AND coalesce(upper(btrim(o.serial_number)) COLLATE "C", '') = '' AND coalesce(d.serial_key, '') = '')
              AND o.removed_at IS NULL
            UNION ALL
            SELECT o.customer_id, o.batch_id, o.device_id, o.not_before, o.valid_from, o.removed_at,
                   o.removed_at IS NULL AND coalesce(nullif(upper(btrim(o.serial_number)) COLLATE "C", ''), ' ' || o.device_id)
                                            = coalesce(nullif(d.serial_key, ''), ' ' || d.device_id),
                   o.customer_id = d.customer_id AND o.batch_id = d.batch_id AND o.device_id = d.device_id,
                   o.valid_to,
                   coalesce((SELECT r.not_before FROM partner_center.devices r
                             WHERE r.customer_id = o.customer_id AND r.batch_id = o.batch_id AND r.device_id = o.device_id
                               AND r.valid_from = o.valid_to AND r.removed_at IS NOT NULL),
                            (SELECT r.not_before FROM partner_center.device_versions r
                             WHERE r.customer_id = o.customer_id AND r.batch_id = o.batch_id AND r.device_id = o.device_id
                               AND r.valid_from = o.valid_to AND r.removed_at IS NOT NULL))
            FROM partner_center.device_versions o
            WHERE upper(btrim(o.serial_number)) COLLATE "C" = d.serial_key AND d.serial_key <> ''
               OR o.device_id = d.device_id AND coalesce(upper(btrim(o.serial_number)) COLLATE "C", '') = '' AND coalesce(d.serial_key, '') = ''
               OR o.customer_id = d.customer_id AND o.batch_id = d.batch_id AND o.device_id = d.device_id
        ) o
        LEFT JOIN partner_center.device_versions p
               ON p.customer_id = o.customer_id AND p.batch_id = o.batch_id AND p.device_id = o.device_id AND p.valid_to = o.valid_from
        WINDOW departure AS (PARTITION BY d.customer_id, d.batch_id, d.device_id, d.left_by, d.serial_key)
    ) l
    WHERE l.listed
      AND coalesce(l.missed_after, l.valid_to, 'infinity')
          >= CASE WHEN l.missed_after IS NOT NULL AND l.valid_to > l.left_after THEN l.listed_by ELSE l.left_after END
      AND NOT (l.own AND l.arrived_by < l.left_by)
    WINDOW departure AS (PARTITION BY l.customer_id, l.batch_id, l.device_id, l.left_by, l.serial_key ORDER BY l.arrived_by)
) a
WHERE a.position = 1 AND a.arrives AND a.arrived_by > a.left_after AND (a.next_by > a.arrived_by) IS NOT FALSE
  AND (a.to_customer_id <> a.customer_id OR a.to_batch_id <> a.batch_id)
  AND (a.left_after >= a.pruned_before) IS NOT FALSE;

-- These views look up what the values of a device's policies mean, in LATERAL p, for the device's customer.
--   - Citus sends a question about one customer to its shard alone only if the join with p compares the customer too.
--   - Then PostgreSQL would hand d.customer_id in twice, and its Memoize never hits: p would be worked out for each device
--     instead of for each customer. So the lookup is by k.customer_id, which has the same value.
DO $$
DECLARE
    view       regclass;
    definition text;
BEGIN
    FOREACH view IN ARRAY ARRAY['partner_center.device_inventory', 'partner_center.device_policies'] LOOP
        definition := regexp_replace(pg_get_viewdef(view),
            'LATERAL \( SELECT DISTINCT v\.by_id(.*?)\(v\.customer_id = d\.customer_id\)\) p ON \(true\)',
            '(SELECT DISTINCT customer_id FROM partner_center.configuration_policies) k ON k.customer_id = d.customer_id
             LEFT JOIN LATERAL (SELECT DISTINCT v.customer_id, v.by_id\1v.customer_id = k.customer_id) p ON p.customer_id = d.customer_id');
        EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', view, definition);
    END LOOP;
END
$$;

-- What was moved is still on the coordinator too, where nobody reads it.
DO $$
BEGIN
    PERFORM truncate_local_data_after_distributing_table(p.logicalrelid)
    FROM pg_dist_partition p
    WHERE p.partmethod = 'h' AND p.logicalrelid::text LIKE 'partner_center.%';
END
$$;

-- Citus makes views anew on the way, without the rights to them. And it reads what is in a view with the rights of the one who
-- asks, so that analysts need those to tables of partnersync too: to such as have no secret.
DO $$
BEGIN
    IF to_regproc('partnersync.grant_rights') IS NULL THEN
        RETURN; -- deploy/roles.sql was never run
    END IF;
    CALL partnersync.grant_rights();
    GRANT USAGE ON SCHEMA partnersync TO partnersync_analyst;
    GRANT SELECT ON partnersync.contested_customers, partnersync.customer_state, partnersync.list_state, partnersync.partner_state,
        partnersync.run_counts, partnersync.runs, partnersync.sync_failures TO partnersync_analyst;
END
$$;
