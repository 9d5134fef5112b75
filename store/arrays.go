package store

import (
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"
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

// field is how a value of rows goes to PostgreSQL, and is known again there.
type field[R any] struct {
	values func([]R) any // as an array
	// stored reports whether raw, in this format, is the row's value; nil is none.
	stored func(row *R, raw []byte, format int16) bool
}

func texts[R any](get func(*R) *string) field[R] {
	return fieldOf(pgtype.TextArrayOID, func(r *R) *text { return (*text)(get(r)) }, func(t text, raw []byte, _ int16) bool {
		return string(t) == string(raw)
	})
}

func instants[R any](get func(*R) *time.Time) field[R] {
	// PostgreSQL counts from 2000 on.
	epoch := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	return fieldOf(pgtype.TimestamptzArrayOID, func(r *R) *instant { return (*instant)(get(r)) }, func(t instant, raw []byte, format int16) bool {
		return format == pgx.BinaryFormatCode && time.Time(t).UnixMicro() == epoch+int64(binary.BigEndian.Uint64(raw))
	})
}

func numbers[R any](get func(*R) *int32) field[R] {
	return fieldOf(pgtype.Int4ArrayOID, func(r *R) *number { return (*number)(get(r)) }, func(n number, raw []byte, format int16) bool {
		return format == pgx.BinaryFormatCode && int32(n) == int32(binary.BigEndian.Uint32(raw))
	})
}

func fieldOf[R, V any](oid uint32, get func(*R) *V, same func(value V, raw []byte, format int16) bool) field[R] {
	return field[R]{
		values: func(rows []R) any { return arrayOf(rows, oid, get) },
		stored: func(row *R, raw []byte, format int16) bool {
			if value := get(row); value != nil && raw != nil {
				return same(*value, raw, format)
			} else {
				return value == nil && raw == nil
			}
		},
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
