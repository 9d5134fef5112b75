package report

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Dictionary describes the schema partner_center, on which analysts may rely, as the database's catalogue has it.
type Dictionary struct {
	Comment string // on the schema
	Entries []DictionaryEntry
}

// DictionaryEntry is a table, a view or a function.
type DictionaryEntry struct {
	Kind    string // "table", "view" or "function"
	Name    string // of a function: with its arguments
	Returns string // the type that a function returns; "" where that is rows of Columns
	Comment string
	Columns []DictionaryColumn // in order; of a function those of the rows that it returns
}

// DictionaryColumn is a column of an entry.
type DictionaryColumn struct {
	Name string
	Type string // as PostgreSQL spells it
	// Null is "key" for a column of a table's primary key, "no" or "yes" for other columns of tables, and "" for
	// columns of views and functions, where PostgreSQL does not know.
	Null    string
	Comment string // "" for a function's
}

// dictionarySQL reads the columns of all entries. An entry without columns is one row, whose column is empty.
const dictionarySQL = `
	WITH entry AS (
	    SELECT c.oid, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind, c.relname::text AS name, '' AS returns,
	           coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
	    FROM pg_class c
	    WHERE c.relnamespace = to_regnamespace('partner_center') AND c.relkind IN ('r', 'p', 'v')
	    UNION ALL
	    SELECT p.oid, 'function', format('%s(%s)', p.proname, pg_get_function_arguments(p.oid)),
	           CASE WHEN pg_get_function_result(p.oid) NOT LIKE 'TABLE(%' THEN lower(pg_get_function_result(p.oid)) ELSE '' END,
	           coalesce(obj_description(p.oid, 'pg_proc'), '')
	    FROM pg_proc p
	    WHERE p.pronamespace = to_regnamespace('partner_center')
	), described AS (
	    SELECT a.attrelid AS oid, a.attnum AS position, a.attname::text AS name,
	           format_type(a.atttypid, a.atttypmod) AS type,
	           CASE WHEN c.relkind = 'v' THEN ''
	                WHEN a.attnum = ANY (i.indkey) THEN 'key'
	                WHEN a.attnotnull THEN 'no'
	                ELSE 'yes' END AS nullable,
	           coalesce(col_description(a.attrelid, a.attnum), '') AS comment
	    FROM pg_attribute a
	    JOIN pg_class c ON c.oid = a.attrelid
	    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
	    WHERE a.attnum > 0 AND NOT a.attisdropped
	    UNION ALL
	    SELECT p.oid, o.position, o.name, format_type(o.type, NULL), '', ''
	    FROM pg_proc p
	    CROSS JOIN LATERAL unnest(p.proargnames, p.proallargtypes, p.proargmodes)
	         WITH ORDINALITY AS o (name, type, mode, position)
	    WHERE o.mode IN ('o', 't')
	)
	SELECT e.kind, e.name, e.returns, e.comment, coalesce(d.name, ''), coalesce(d.type, ''), coalesce(d.nullable, ''),
	       coalesce(d.comment, '')
	FROM entry e
	LEFT JOIN described d ON d.oid = e.oid
	ORDER BY CASE e.kind WHEN 'table' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, e.name COLLATE "C", d.position`

// ReadDictionary reads the catalogue: tables, then views, then functions, each ordered by name. It needs no rights to
// what it describes. If the schema is missing, there are no entries.
func ReadDictionary(ctx context.Context, pool *pgxpool.Pool) (d Dictionary, err error) {
	const comment = `
		SELECT coalesce(max(obj_description(oid, 'pg_namespace')), '')
		FROM pg_namespace
		WHERE nspname = 'partner_center'`
	err = readOnly(ctx, pool, timeout, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, comment).Scan(&d.Comment); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, dictionarySQL) // ForEachRow returns its error
		var e DictionaryEntry
		var c DictionaryColumn
		into := []any{&e.Kind, &e.Name, &e.Returns, &e.Comment, &c.Name, &c.Type, &c.Null, &c.Comment}
		_, err := pgx.ForEachRow(rows, into, func() error {
			d.add(e, c)
			return nil
		})
		return err
	})
	if err != nil {
		return d, fmt.Errorf("reading the catalogue: %w", err)
	}
	return d, nil
}

// add adds a column to its entry, which is the last one or a new one.
func (d *Dictionary) add(e DictionaryEntry, c DictionaryColumn) {
	if last := len(d.Entries) - 1; last < 0 || d.Entries[last].Kind != e.Kind || d.Entries[last].Name != e.Name {
		d.Entries = append(d.Entries, e)
	}
	if last := &d.Entries[len(d.Entries)-1]; c.Name != "" {
		last.Columns = append(last.Columns, c)
	}
}
