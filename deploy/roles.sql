-- Three roles, so that nobody has more rights than he needs:
--
--   partnersync_owner    owns the schemas partner_center and partnersync and all that is in them: migrates, prunes
--   partnersync_writer   what the daemon needs, and nothing more: written history it can add to, but not change or delete
--   partnersync_analyst  reads partner_center, and has no access to partnersync
--
-- They are groups without login. Run this file in partnersync's database, as a superuser or as one who owns the database
-- and all that is in the two schemas, and may create roles:
--
--   psql -v ON_ERROR_STOP=1 -f deploy/roles.sql "$DATABASE_URL"
--
-- Then give the roles to people and programs; a login that migrates at its start needs the owner's too:
--
--   GRANT partnersync_analyst TO alice;
--   CREATE ROLE partnersync_daemon LOGIN PASSWORD '…' IN ROLE partnersync_writer;
--   CREATE ROLE partnersync_migrator LOGIN PASSWORD '…' IN ROLE partnersync_owner;
--   ALTER ROLE partnersync_daemon SET search_path = pg_catalog, pg_temp;      -- members do not inherit it
--   ALTER ROLE partnersync_migrator SET search_path = pg_catalog, pg_temp;
--
-- All that partnersync does itself, this file included, finds functions in pg_catalog alone. Where everyone may create in
-- the schema public, as before PostgreSQL 15 and in databases upgraded from there, a stranger's public.format(text, text)
-- would otherwise run in place of PostgreSQL's, with the caller's rights. So it would in what people with more rights than
-- they need type there themselves; `partnersync check` warns of such a schema, and this ends it:
--
--   REVOKE CREATE ON SCHEMA public FROM PUBLIC;
--
-- It may be run before the migrations or after them, and any number of times; run it again after an upgrade, in case the
-- release brings a newer one. It leaves no more and no less than the rights below: what was granted to the three roles
-- by hand in these two schemas is taken back.
--
-- Who migrates does not matter, as long as it is a member of partnersync_owner or a superuser: `partnersync migrate up`,
-- and a daemon that migrates at its start, call partnersync.grant_rights() at the end, which hands what is new to
-- partnersync_owner and grants the rights to it. What partnersync_owner itself makes in partner_center by other means can be
-- read at once, by default privileges. Those alone would not do: they do not tell the tables of versions from those of
-- current rows, are one maker's, and go with the schema.
--
-- The database's other defaults stay as they are.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Roles are the whole server's: another database, or another session at this moment, may have made them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['partnersync_owner', 'partnersync_writer', 'partnersync_analyst'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        -- For one who makes it a login.
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = pg_catalog, pg_temp', name, current_database());
    END LOOP;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO partnersync_owner, partnersync_writer, partnersync_analyst', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO partnersync_owner', current_database()); -- for the schema partner_center
    -- One who is no superuser can give things only to a role that he is in.
    IF NOT pg_has_role('partnersync_owner', 'USAGE') THEN
        GRANT partnersync_owner TO CURRENT_USER;
    END IF;
END
$$;

-- The migrations make partner_center, but take partnersync as they find it.
CREATE SCHEMA IF NOT EXISTS partnersync AUTHORIZATION partnersync_owner;

CREATE OR REPLACE PROCEDURE partnersync.grant_rights()
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    object   record;
    relation record;
BEGIN
    -- All that is in the schemas, and the schemas themselves, belong to the owner.
    FOR object IN
        SELECT format('SCHEMA %I', n.nspname) AS what
        FROM pg_namespace n
        WHERE n.nspname IN ('partner_center', 'partnersync') AND n.nspowner <> 'partnersync_owner'::regrole
        UNION ALL
        SELECT format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace::regnamespace::text IN ('partner_center', 'partnersync')
          AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relowner <> 'partnersync_owner'::regrole
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.pronamespace::regnamespace::text IN ('partner_center', 'partnersync') AND p.proowner <> 'partnersync_owner'::regrole
    LOOP
        EXECUTE format('ALTER %s OWNER TO partnersync_owner', object.what);
    END LOOP;

    -- partnersync: the daemon's machinery, but for goose's tables, of which it needs the schema's version alone.
    REVOKE ALL ON SCHEMA partnersync FROM partnersync_writer, partnersync_analyst;
    REVOKE ALL ON ALL TABLES IN SCHEMA partnersync FROM partnersync_writer, partnersync_analyst;
    REVOKE ALL ON ALL ROUTINES IN SCHEMA partnersync FROM PUBLIC, partnersync_writer, partnersync_analyst;
    GRANT USAGE ON SCHEMA partnersync TO partnersync_writer;
    FOR relation IN
        SELECT c.oid::regclass AS name, c.relname, c.relkind
        FROM pg_class c
        WHERE c.relnamespace = 'partnersync'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    LOOP
        IF relation.relname = 'goose_db_version' OR relation.relkind = 'v' THEN
            EXECUTE format('GRANT SELECT ON %s TO partnersync_writer', relation.name);
        ELSIF relation.relname NOT LIKE 'goose%' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO partnersync_writer', relation.name);
        END IF;
        IF relation.relname IN ('workers', 'runs', 'run_workers', 'contested_customers', 'sync_failures', 'outbox', 'notified', 'partner_settings') THEN
            EXECUTE format('GRANT DELETE ON %s TO partnersync_writer', relation.name);
        END IF;
    END LOOP;

    -- partner_center: read by both. The daemon changes current rows, and only ever adds to the versions.
    IF to_regnamespace('partner_center') IS NULL THEN
        RETURN; -- it is still to be migrated
    END IF;
    REVOKE ALL ON SCHEMA partner_center FROM partnersync_writer, partnersync_analyst;
    REVOKE ALL ON ALL TABLES IN SCHEMA partner_center FROM partnersync_writer, partnersync_analyst;
    REVOKE ALL ON ALL ROUTINES IN SCHEMA partner_center FROM partnersync_writer, partnersync_analyst;
    GRANT USAGE ON SCHEMA partner_center TO partnersync_writer, partnersync_analyst;
    GRANT SELECT ON ALL TABLES IN SCHEMA partner_center TO partnersync_writer, partnersync_analyst;
    GRANT EXECUTE ON ALL ROUTINES IN SCHEMA partner_center TO partnersync_analyst;
    ALTER DEFAULT PRIVILEGES FOR ROLE partnersync_owner IN SCHEMA partner_center
        GRANT SELECT ON TABLES TO partnersync_writer, partnersync_analyst;
    ALTER DEFAULT PRIVILEGES FOR ROLE partnersync_owner IN SCHEMA partner_center
        GRANT EXECUTE ON ROUTINES TO partnersync_analyst;
    FOR relation IN
        SELECT c.oid::regclass AS name, c.relname
        FROM pg_class c
        WHERE c.relnamespace = 'partner_center'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('GRANT INSERT ON %s TO partnersync_writer', relation.name);
        IF relation.relname NOT LIKE '%\_versions' THEN
            EXECUTE format('GRANT UPDATE ON %s TO partnersync_writer', relation.name);
        END IF;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE partnersync.grant_rights() IS
    'Hands the two schemas to partnersync_owner and grants partnersync_writer and partnersync_analyst their rights. Called by deploy/roles.sql, and after migrations.';

CALL partnersync.grant_rights();

COMMIT;
