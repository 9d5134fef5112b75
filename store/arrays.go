package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// array is a column of many rows on its way to PostgreSQL, nil where there is no value. It is of the types below, which pgx
// encodes as they are; pointers to others it follows by reflection, with an allocation each.
type array[V any] struct {
	pgtype.FlatArray[*V]
	oid uint32 // of PostgreSQL's type
}

// TextValue is for connections that prepare no statements, and so do not know what type PostgreSQL expects.
func (a array[V]) TextValue() (pgtype.Text, error) {
	literal, err := pgtype.NewMap().Encode(a.oid, pgtype.TextFormatCode, a.FlatArray, nil)
	return pgtype.Text{String: string(literal), Valid: true}, err
}

type (
	text    string
	instant time.Time
	number  int32
)

func (t *text) TextValue() (pgtype.Text, error) {
	if t == nil {
		return pgtype.Text{}, nil
	}
	return pgtype.Text{String: string(*t), Valid: true}, nil
}

func (t *instant) TimestamptzValue() (pgtype.Timestamptz, error) {
	if t == nil {
		return pgtype.Timestamptz{}, nil
	}
	return pgtype.Timestamptz{Time: time.Time(*t), Valid: true}, nil
}

func (n *number) Int64Value() (pgtype.Int8, error) {
	if n == nil {
		return pgtype.Int8{}, nil
	}
	return pgtype.Int8{Int64: int64(*n), Valid: true}, nil
}

// texts, instants and numbers return an array of what get returns for each row.
func texts[R any](get func(*R) *string) func([]R) any {
	return func(rows []R) any {
		return arrayOf(rows, pgtype.TextArrayOID, func(r *R) *text { return (*text)(get(r)) })
	}
}

func instants[R any](get func(*R) *time.Time) func([]R) any {
	return func(rows []R) any {
		return arrayOf(rows, pgtype.TimestamptzArrayOID, func(r *R) *instant { return (*instant)(get(r)) })
	}
}

func numbers[R any](get func(*R) *int32) func([]R) any {
	return func(rows []R) any {
		return arrayOf(rows, pgtype.Int4ArrayOID, func(r *R) *number { return (*number)(get(r)) })
	}
}

// arrayOf ends with the last value: {incoming} has nulls for the rest.
func arrayOf[R, V any](rows []R, oid uint32, get func(*R) *V) array[V] {
	a := array[V]{make(pgtype.FlatArray[*V], len(rows)), oid}
	end := 0
	for i := range rows {
		if a.FlatArray[i] = get(&rows[i]); a.FlatArray[i] != nil {
			end = i + 1
		}
	}
	a.FlatArray = a.FlatArray[:end]
	return a
}

// present returns nil for the empty string, which stands for no value.
func present(s string) *string { return notEmpty(&s) }

func notEmpty(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
