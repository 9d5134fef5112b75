package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// resource is one kind of versioned row: its tables, its key and its columns. The merge is the same for all of them;
// what differs stands here, and the statements that run are written out from it once.
type resource[R any] struct {
	table     string // of current rows; also the resource's name in partnersync.list_state
	versions  string // table of superseded versions
	ofBatch   bool   // a list is that of one batch of a customer; else that of a customer
	keyColumn string
	key       func(*R) string
	columns   []column[R] // the others that come from the API
	inPlace   []string    // names of columns whose change alone opens no version: the current row is updated in place
	removedAt func(*R) *time.Time
	// rowByRow: each row is written by a statement of its own, since a column is itself an array, and arrays of
	// different lengths cannot be unnested together.
	rowByRow bool
	sql      mergeSQL
}

// column is a column of a resource.
type column[R any] struct {
	name   string
	typ    string              // PostgreSQL's name of the type
	values func(rows []*R) any // the column of all rows, as pgx takes it for an array
	value  func(row *R) any    // the column of one row
	equal  func(a, b *R) bool  // whether two rows are the same in it
	copy   func(to, from *R)   // takes over the other row's value
	text   func(row *R) string // for people
}

// newColumn returns a column whose values are compared by equal.
func newColumn[R, V any](name, typ string, field func(*R) *V, equal func(a, b V) bool) column[R] {
	return column[R]{
		name: name, typ: typ,
		values: func(rows []*R) any {
			values := make([]V, len(rows))
			for i, row := range rows {
				values[i] = *field(row)
			}
			return values
		},
		value: func(row *R) any { return *field(row) },
		equal: func(a, b *R) bool { return equal(*field(a), *field(b)) },
		copy:  func(to, from *R) { *field(to) = *field(from) },
		text:  func(row *R) string { return valueText(*field(row)) },
	}
}

func textColumn[R any](name string, field func(*R) **string) column[R] {
	return newColumn(name, "text", field, equalPointers)
}

// timeColumn returns a column of dates. The API's sub-seconds wander, so dates less than a second apart are equal.
func timeColumn[R any](name string, field func(*R) **time.Time) column[R] {
	return newColumn(name, "timestamptz", field, func(a, b *time.Time) bool {
		if a == nil || b == nil {
			return a == b
		}
		return a.Sub(*b).Abs() < time.Second
	})
}

func textArrayColumn[R any](name string, field func(*R) *[]string) column[R] {
	c := newColumn(name, "text[]", field, slices.Equal[[]string])
	c.value = func(row *R) any { return append([]string{}, *field(row)...) } // nil would be null
	return c
}

// jsonColumn returns a column of JSON texts; "" stands for the empty value.
func jsonColumn[R any](name, empty string, field func(*R) *string) column[R] {
	stored := func(row *R) *string {
		if *field(row) == "" {
			return &empty
		}
		return field(row)
	}
	c := newColumn(name, "jsonb", stored, equalJSON)
	c.copy = func(to, from *R) { *field(to) = *field(from) }
	return c
}

func equalPointers[V comparable](a, b *V) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// valueText writes a column's value for people.
func valueText(value any) string {
	switch v := value.(type) {
	case *string:
		if v != nil {
			return *v
		}
		return "null"
	case *int32:
		if v != nil {
			return fmt.Sprint(*v)
		}
		return "null"
	case *time.Time:
		if v != nil {
			return v.UTC().Format(time.RFC3339Nano)
		}
		return "null"
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// keys returns the rows' keys.
func (r *resource[R]) keys(rows []*R) []string {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = r.key(row)
	}
	return keys
}

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

	// Not COPY: a server that waits for the rows of a frozen client heeds no time-out before they have come, and so
	// would keep its locks. Nor is it faster, since pgx would encode each value by itself.
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
	for _, c := range r.columns {
		assignment := fmt.Sprintf("%[1]s = i.%[1]s", c.name)
		names, values = append(names, c.name), append(values, fmt.Sprintf(incoming, c.name, c.typ))
		assignments = append(assignments, assignment)
		if slices.Contains(r.inPlace, c.name) {
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
