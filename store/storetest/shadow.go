package storetest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Shadow makes functions and operators in schema public that a careless statement calls in place of PostgreSQL's own,
// for all of pg_catalog that takes any type: a function of the very type is preferred wherever it is in the search
// path. Each of them fails. The pool's role needs no right but to create in schema public.
func Shadow(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), shadowSQL); err != nil {
		t.Fatalf("storetest: making functions that stand for PostgreSQL's own: %v", err)
	}
}

const shadowSQL = `
	SET LOCAL search_path = pg_catalog, pg_temp;
	DO $do$
	DECLARE
	    shadow record;
	    body constant text := 'BEGIN RAISE ''a shadow in schema public was called''; END';
	BEGIN
	    FOR shadow IN
	        SELECT DISTINCT ON (o.oprname, CASE WHEN o.oprname IS NULL THEN p.proname END, typed.arguments)
	               p.proname AS name, o.oprname AS operator, typed.arguments,
	               typed.list[1] AS left_type, typed.list[2] AS right_type
	        FROM pg_proc p
	        LEFT JOIN pg_operator o ON o.oprcode = p.oid AND o.oprkind = 'b'
	        CROSS JOIN unnest('{text,uuid,bigint,integer,date,timestamptz,interval,jsonb,boolean,bytea,name}'::regtype[]) AS of
	        CROSS JOIN LATERAL (
	            SELECT array_agg(x.type ORDER BY x.position) AS list, string_agg(x.type, ', ' ORDER BY x.position) AS arguments
	            FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)
	            CROSS JOIN LATERAL (
	                SELECT CASE WHEN a.type::regtype::text ~ '^any(compatible)?array$' THEN of || '[]'
	                            WHEN a.type::regtype::text ~ '^"?any' THEN of::text
	                            WHEN a.type = 'text'::regtype AND of = 'name'::regtype AND a.position = 1 THEN 'name'
	                            ELSE a.type::regtype::text END AS type, a.position
	            ) x
	        ) typed
	        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
	          AND (p.proargtypes::oid[]::regtype[]::text ~ 'any' OR of = 'name'::regtype AND p.proargtypes[0] = 'text'::regtype)
	          AND p.proargtypes::oid[]::regtype[]::text !~ 'internal|cstring|trigger|range'
	    LOOP
	        EXECUTE format('CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', shadow.name, shadow.arguments, body);
	        IF shadow.operator IS NOT NULL THEN
	            EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.%I, LEFTARG = %s, RIGHTARG = %s)',
	                           shadow.operator, shadow.name, shadow.left_type, shadow.right_type);
	        END IF;
	    END LOOP;
	END
	$do$`
