package store

import "testing"

// Tools that know no interval find the same in seconds.
func TestIntervals_haveATwinInSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("t|", `
		WITH columns AS (
		    SELECT table_name::text AS place, column_name::text AS name, data_type = 'interval' AS is_interval, data_type = 'double precision' AS is_double
		    FROM information_schema.columns WHERE table_schema = 'partner_center'
		    UNION ALL
		    SELECT p.proname, a.name, a.type = 'interval'::regtype, a.type = 'double precision'::regtype
		    FROM pg_proc p, unnest(p.proargnames, p.proallargtypes) AS a (name, type)
		    WHERE p.pronamespace = 'partner_center'::regnamespace AND p.proretset
		)
		SELECT concat_ws('|', count(*) > 5, string_agg(i.place || '.' || i.name, ', ') FILTER (WHERE s.name IS NULL), '')
		FROM columns i
		LEFT JOIN columns s ON s.place = i.place AND s.name = i.name || '_seconds' AND s.is_double
		WHERE i.is_interval`)
}
