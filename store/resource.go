package store

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// resource is one kind of versioned row: its tables, its key, and its columns. The merge is the same for all of them; what
// differs stands here, and the statements that run are written out from it once (see statements).
type resource[R any] struct {
	table    string // current rows; also the resource's name in partnersync.list_state
	versions string // superseded versions
	ofBatch  bool   // a list is that of one batch of a customer; else of a customer
	key      column[R]
	columns  []column[R] // the others that come from the API
	// allCounts: a complete listing that lacks all known rows is held by the mass removal guard, however few they are.
	allCounts bool
	sql       statements
}

// column is a column of a resource, and how it goes to PostgreSQL: as an array, one element a row.
type column[R any] struct {
	name  string
	typ   string // PostgreSQL's name of the type
	via   string // type of the array's elements, where they are no typ but are cast to it; "": typ
	null  string // what a null element stands for, where the column has no nulls; it costs the least to send and to read
	quiet bool   // a change here alone opens no version: the current row is updated in place
	field[R]
}

// sent is in SQL what PostgreSQL sends of the column: what the field is compared with.
func (c column[R]) sent() string {
	if c.typ == "text[]" {
		return c.name + "::text"
	}
	return c.name
}

// holds reports whether raw, in this format, is what the row has in the column.
func (c column[R]) holds(row *R, raw []byte, format int16) bool {
	if c.typ == "jsonb" && format == pgx.BinaryFormatCode {
		raw = raw[1:] // of its version
	}
	if c.null != "" && string(raw) == c.null {
		raw = nil
	}
	return c.stored(row, raw, format)
}

// justSo reports whether the row is stored as it is, to the letter: of values that can be written in several ways it may say no
// though they are equal.
func (r *resource[R]) justSo(row *R, values [][]byte, fields []pgconn.FieldDescription) bool {
	for i, c := range r.columns {
		if !c.holds(row, values[i], fields[i].Format) {
			return false
		}
	}
	return true
}

// differs says in SQL when the incoming row i and the known row k differ in the column. The API's sub-seconds wander, so
// that dates less than a second apart are equal.
func (c column[R]) differs() string {
	if c.typ == "timestamptz" {
		// What is first is cheap, and false of nearly all rows.
		return fmt.Sprintf("(i.%[1]s IS DISTINCT FROM k.%[1]s AND coalesce(abs(extract(epoch FROM i.%[1]s - k.%[1]s)) >= 1, true))", c.name)
	}
	return fmt.Sprintf("i.%[1]s IS DISTINCT FROM k.%[1]s", c.name)
}

// assignment says in SQL how the column of the known row k takes its value from the incoming row i. Of two equal dates
// the stored one is kept.
func (c column[R]) assignment() string {
	if c.typ == "timestamptz" {
		return fmt.Sprintf("%[1]s = CASE WHEN %[2]s THEN i.%[1]s ELSE k.%[1]s END", c.name, c.differs())
	}
	return fmt.Sprintf("%[1]s = i.%[1]s", c.name)
}

// change says in SQL, and then in words, how the column differs; null if it does not.
func (c column[R]) change() string {
	return fmt.Sprintf("CASE WHEN %[2]s THEN concat('%[1]s: ', coalesce(k.%[1]s::text, 'null'), ' -> ', coalesce(i.%[1]s::text, 'null')) END", c.name, c.differs())
}

// statements are the SQL of a merge. Each concerns one list, and so one customer.
type statements struct {
	known, compare, supersede, insert, change, refresh, remove, describe string
}

// String is what runs, in the order of a merge.
func (s statements) String() string {
	return strings.Join([]string{s.known, s.compare, s.supersede, s.change, s.remove, s.refresh, s.insert, s.describe}, ";\n") + ";\n"
}

// newResource writes out the resource's statements from the templates in merge.go: {names} are all columns that come
// from the API, the key first; {incoming} is the table i of the listed rows.
func newResource[R any](r resource[R]) *resource[R] {
	var names, sent, differs, loud, assignments, quiet, changes []string
	for _, c := range append([]column[R]{r.key}, r.columns...) {
		names = append(names, c.name)
	}
	for _, c := range r.columns {
		sent = append(sent, c.sent())
		differs = append(differs, c.differs())
		assignments = append(assignments, c.assignment())
		if c.quiet {
			quiet = append(quiet, c.assignment())
			continue
		}
		loud = append(loud, c.differs())
		changes = append(changes, c.change())
	}
	scope, scopeColumns, scopeValues := "customer_id = @customer_id::uuid", "customer_id", "@customer_id::uuid"
	if r.ofBatch {
		scope, scopeColumns, scopeValues = scope+" AND batch_id = @list_batch_id::text", "customer_id, batch_id", scopeValues+", @list_batch_id::text"
	}
	expand := strings.NewReplacer(
		"{scope}", scope,
		"{scope columns}", scopeColumns,
		"{scope values}", scopeValues,
		"{table}", r.table,
		"{versions}", r.versions,
		"{key}", r.key.name,
		"{names}", strings.Join(names, ", "),
		"{sent}", strings.Join(sent, ", "),
		"{incoming}", r.incoming(),
		"{differs}", strings.Join(differs, "\n   OR "),
		"{opens a version}", strings.Join(loud, "\n       OR "),
		"{assignments}", strings.Join(assignments, ",\n    "),
		"{quiet assignments}", strings.Join(quiet, ",\n    "),
		"{changes}", strings.Join(changes, ",\n    "),
	).Replace
	r.sql = statements{
		known: expand(knownSQL), compare: expand(compareSQL), supersede: expand(supersedeSQL), insert: expand(insertSQL),
		change: expand(changeSQL), refresh: expand(refreshSQL), remove: expand(removeSQL), describe: expand(describeSQL),
	}
	return &r
}

// incoming is the table i of the listed rows, in SQL. Unnested in a list of columns the arrays are read as the rows are needed;
// in FROM, each would be written out first, which takes a third of the time of comparing. The shorter ones end in nulls.
func (r *resource[R]) incoming() string {
	var columns, arrays []string
	for _, c := range append([]column[R]{r.key}, r.columns...) {
		arrays = append(arrays, fmt.Sprintf("unnest(@%s::%s[]) AS %[1]s", c.name, cmp.Or(c.via, c.typ)))
		column := c.name
		if c.via != "" {
			column = fmt.Sprintf("%s::%s", c.name, c.typ)
			if c.null != "" {
				column = fmt.Sprintf("coalesce(%s, '%s')", column, c.null)
			}
			column += " AS " + c.name
		}
		columns = append(columns, column)
	}
	return fmt.Sprintf(`(
    SELECT %s
    FROM (SELECT %s) i
) i`, strings.Join(columns, ", "), strings.Join(arrays, ",\n                 "))
}

// args are the rows as the arrays that {incoming} unnests.
func (r *resource[R]) args(rows []R, args map[string]any) {
	keys, others := r.key.array(rows), 0
	args[r.key.name] = keys
	for _, c := range r.columns {
		column := c.array(rows)
		args[c.name] = column
		others += column.bytes()
	}
	keys.makeRoom(others)
}
