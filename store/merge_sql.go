package store

import (
	"fmt"
	"maps"
	"slices"
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
WHERE {scope} AND {key} = ANY (@superseded::text[])`

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
WHERE {scope} AND k.{key} = ANY (@removed::text[])`
)

// newResource writes out the resource's statements: {names} are all columns that come from the API, the key first;
// {incoming} is the table i of the listed rows. Arrays that are unnested in a list of columns are read as the rows are
// needed; in FROM, PostgreSQL would first write all of them out.
func newResource[R any](r resource[R]) *resource[R] {
	incoming := "unnest(@%[1]s::%[2]s[]) AS %[1]s"
	if r.rowByRow {
		incoming = "@%[1]s::%[2]s AS %[1]s"
	}
	names, values := []string{r.keyColumn}, []string{fmt.Sprintf(incoming, r.keyColumn, "text")}
	var assignments, inPlace []string
	for i := range r.columns {
		c := &r.columns[i]
		assignment := fmt.Sprintf("%[1]s = i.%[1]s", c.name)
		names, values = append(names, c.name), append(values, fmt.Sprintf(incoming, c.name, c.typ))
		assignments = append(assignments, assignment)
		if c.inPlace = slices.Contains(r.inPlace, c.name); c.inPlace {
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
		"{incoming}", "(\n    SELECT "+strings.Join(values, ",\n           ")+"\n) i",
		"{assignments}", strings.Join(assignments, ",\n    "),
		"{assignments in place}", strings.Join(inPlace, ",\n    "),
	).Replace
	r.sql = mergeSQL{
		known: write(knownSQL), supersede: write(supersedeSQL), insert: write(insertSQL),
		change: write(changeSQL), refresh: write(refreshSQL), remove: write(removeSQL),
	}
	return &r
}

// queueRows queues a statement that writes rows: once for all of them, or once for each.
func (r *resource[R]) queueRows(batch *pgx.Batch, sql string, common pgx.NamedArgs, rows []*R) {
	if !r.rowByRow {
		args := maps.Clone(common)
		args[r.keyColumn] = r.keys(rows)
		for _, c := range r.columns {
			args[c.name] = c.values(rows)
		}
		batch.Queue(sql, args)
		return
	}
	for _, row := range rows {
		args := maps.Clone(common)
		args[r.keyColumn] = r.key(row)
		for _, c := range r.columns {
			args[c.name] = c.value(row)
		}
		batch.Queue(sql, args)
	}
}
