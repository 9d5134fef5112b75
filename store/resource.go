package store

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// resource is one kind of versioned row: its tables, its key and its columns. The merge is the same for all of them;
// what differs stands here, and the statements that run are written out from it once (see merge_sql.go).
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
	// holdsAll: the mass removal guard holds a complete listing that lacks all known rows, however few they are.
	holdsAll bool
	sql      mergeSQL
}

// column is a column of a resource.
type column[R any] struct {
	name    string
	typ     string              // PostgreSQL's name of the type
	inPlace bool                // it is among the resource's inPlace
	values  func(rows []*R) any // the column of all rows, as pgx takes it for an array
	value   func(row *R) any    // the column of one row
	equal   func(a, b *R) bool  // whether two rows are the same in it
	copy    func(to, from *R)   // takes over the other row's value
	text    func(row *R) string // for people
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
