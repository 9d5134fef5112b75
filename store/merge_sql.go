package store

import (
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
)

// mergeSQL are the statements of a merge. Each is about one list, and so about one customer.
type mergeSQL struct {
	known, supersede, insert, change, refresh, remove string
}

// The statements of a merge, for a resource's {table} and {versions}: i is the listed row, k the known one.
// testdata/pass.sql has them as they run.
const (
	knownSQL = `
SELECT {names}, removed_at
FROM partner_center.{table}
WHERE {scope}`

	// A version ends where its successor begins.
	supersedeSQL = `
INSERT INTO partner_center.{versions} ({scope columns}, {names}, valid_from, not_before, removed_at, valid_to)
SELECT {scope columns}, {names}, valid_from, not_before, removed_at, @observed_at::timestamptz
FROM partner_center.{table}
WHERE {scope} AND {key} = ANY (@keys::text[])`

	// Not COPY, which is faster: a server that waits for the rows of a frozen client heeds no time-out before they have
	// come, and so would keep its locks.
	insertSQL = `
INSERT INTO partner_center.{table} ({scope columns}, {names}, valid_from)
SELECT {scope values}, {names}, @observed_at::timestamptz
FROM {incoming}`

	changeSQL = `
UPDATE partner_center.{table} k
SET {assignments},
    not_before = greatest(CASE WHEN k.removed_at IS NULL OR @absence_certain THEN @confirmed_at::timestamptz END, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = NULL
FROM {incoming}
WHERE {scope} AND k.{key} = i.{key}`

	// What opens no version is updated in place.
	refreshSQL = `
UPDATE partner_center.{table} k
SET {assignments in place}
FROM {incoming}
WHERE {scope} AND k.{key} = i.{key}`

	removeSQL = `
UPDATE partner_center.{table} k
SET not_before = greatest(@confirmed_at::timestamptz, k.valid_from),
    valid_from = @observed_at::timestamptz,
    removed_at = @observed_at::timestamptz
WHERE {scope} AND k.{key} = ANY (@keys::text[])`
)

// newResource writes out the resource's statements: {names} are all columns that come from the API, the key first;
// {incoming} is the table i of the listed rows.
func newResource[R any](r resource[R]) *resource[R] {
	names, assignments, inPlace := []string{r.keyColumn}, []string{}, []string{}
	for _, c := range r.columns {
		names = append(names, c.name)
		assignment := fmt.Sprintf("%[1]s = i.%[1]s", c.name)
		assignments = append(assignments, assignment)
		if c.inPlace {
			inPlace = append(inPlace, assignment)
		}
	}
	scope, scopeColumns, scopeValues := "customer_id = @customer_id::uuid", "customer_id", "@customer_id::uuid"
	if r.ofBatch {
		scope += " AND batch_id = @list_batch_id::text"
		scopeColumns, scopeValues = "customer_id, batch_id", "@customer_id::uuid, @list_batch_id::text"
	}
	write := strings.NewReplacer(
		"{scope}", scope,
		"{scope columns}", scopeColumns,
		"{scope values}", scopeValues,
		"{table}", r.table,
		"{versions}", r.versions,
		"{key}", r.keyColumn,
		"{names}", strings.Join(names, ", "),
		"{incoming}", r.incoming(),
		"{assignments}", strings.Join(assignments, ",\n    "),
		"{assignments in place}", strings.Join(inPlace, ",\n    "),
	).Replace
	r.sql = mergeSQL{
		known: write(knownSQL), supersede: write(supersedeSQL), insert: write(insertSQL),
		change: write(changeSQL), refresh: write(refreshSQL), remove: write(removeSQL),
	}
	return &r
}

// incoming is the table i of the listed rows, in SQL. Arrays that are unnested in a list of columns are read as the
// rows are needed; in FROM, PostgreSQL would first write all of them out.
func (r *resource[R]) incoming() string {
	column := "unnest(@%[1]s::%[2]s[]) AS %[1]s"
	if r.rowByRow {
		column = "@%[1]s::%[2]s AS %[1]s"
	}
	columns := []string{fmt.Sprintf(column, r.keyColumn, "text")}
	for _, c := range r.columns {
		columns = append(columns, fmt.Sprintf(column, c.name, c.typ))
	}
	return "(\n    SELECT " + strings.Join(columns, ",\n           ") + "\n) i"
}

// queueRows queues a statement that writes rows: once for all of them, or once for each.
func (r *resource[R]) queueRows(batch *pgx.Batch, sql string, common pgx.NamedArgs, rows []*R) {
	switch {
	case len(rows) == 0:
	case r.rowByRow:
		for _, row := range rows {
			args := pgx.NamedArgs{r.keyColumn: r.key(row)}
			for _, c := range r.columns {
				args[c.name] = c.value(row)
			}
			batch.Queue(sql, with(args, common))
		}
	default:
		args := pgx.NamedArgs{r.keyColumn: r.keys(rows)}
		for _, c := range r.columns {
			args[c.name] = c.values(rows)
		}
		batch.Queue(sql, with(args, common))
	}
}

// with returns args with the common ones added.
func with(args, common pgx.NamedArgs) pgx.NamedArgs {
	maps.Copy(args, common)
	return args
}
