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
               regexp_replace(regexp_replace(pg_get_function_sqlbody(p.oid), '^BEGIN ATOMIC\s', ''), ';\s*END$', '') AS query
        FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'partner_center' AND p.prosqlbody IS NOT NULL
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass)
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION %s LANGUAGE plpgsql STABLE PARALLEL SAFE AS %L', function.head,
                       format(E'#variable_conflict use_column\nBEGIN\n    RETURN QUERY %s;\nEND', function.query));
        RAISE NOTICE '% is in PL/pgSQL now', function.name;
    END LOOP;
END
$$;

-- Each in a transaction of its own, the first of those that are distributed first.
DO $$
DECLARE
    relation record;
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
        PERFORM citus_add_local_table_to_metadata('partnersync.list_state');
        RAISE NOTICE 'partnersync.list_state is known to Citus now';
    END IF;
END
$$;

-- What was moved is still on the coordinator too, where nobody reads it.
SELECT truncate_local_data_after_distributing_table(p.logicalrelid)
FROM pg_dist_partition p
WHERE p.partmethod = 'h' AND p.logicalrelid::text LIKE 'partner_center.%'
\g /dev/null
