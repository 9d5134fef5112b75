package store

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// field is how a value of rows goes to PostgreSQL, and is known again there.
type field[R any] struct {
	array func([]R) binaryArray
	// stored reports whether raw, in this format, is the row's value; nil is none.
	stored func(row *R, raw []byte, format int16) bool
}

func texts[R any](get func(*R) *string) field[R] { return fieldOf(get, text{}) }

func instants[R any](get func(*R) *time.Time) field[R] { return fieldOf(get, timestamptz{}) }

func numbers[R any](get func(*R) *int32) field[R] { return fieldOf(get, integer{}) }

func fieldOf[R, V any, T element[V]](get func(*R) *V, t T) field[R] {
	return field[R]{
		array: func(rows []R) binaryArray {
			a := &array[R, V, T]{get: get}
			for i := range rows {
				if v := get(&rows[i]); v != nil {
					a.rows, a.size = rows[:i+1], a.size+t.size(*v) // {incoming} has nulls for the rest
				}
			}
			return a
		},
		stored: func(row *R, raw []byte, format int16) bool {
			value := get(row)
			if value == nil || raw == nil {
				return value == nil && raw == nil
			}
			return t.is(*value, raw, format)
		},
	}
}

// element is a type of PostgreSQL, in its binary format.
type element[V any] interface {
	oids() (element, array uint32)
	size(V) int
	append([]byte, V) []byte
	is(value V, raw []byte, format int16) bool
}

type text struct{}

func (text) oids() (element, array uint32)              { return pgtype.TextOID, pgtype.TextArrayOID }
func (text) size(s string) int                          { return len(s) }
func (text) append(buf []byte, s string) []byte         { return append(buf, s...) }
func (text) is(s string, raw []byte, format int16) bool { return s == string(raw) }

type integer struct{}

func (integer) oids() (element, array uint32) { return pgtype.Int4OID, pgtype.Int4ArrayOID }
func (integer) size(int32) int                { return 4 }
func (integer) append(buf []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(buf, uint32(n))
}
func (integer) is(n int32, raw []byte, format int16) bool {
	return format == pgx.BinaryFormatCode && uint32(n) == binary.BigEndian.Uint32(raw)
}

type timestamptz struct{}

func (timestamptz) oids() (element, array uint32) {
	return pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID
}
func (timestamptz) size(time.Time) int { return 8 }
func (timestamptz) append(buf []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(buf, microseconds(t))
}
func (timestamptz) is(t time.Time, raw []byte, format int16) bool {
	return format == pgx.BinaryFormatCode && microseconds(t) == binary.BigEndian.Uint64(raw)
}

// microseconds is a time as PostgreSQL counts it.
func microseconds(t time.Time) uint64 { return uint64(t.UnixMicro() - epoch) }

var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// binaryArray is a column of many rows on its way to PostgreSQL.
type binaryArray interface {
	appendArray([]byte) []byte
	bytes() int         // that appendArray appends
	makeRoom(bytes int) // for what is to be appended after it: to grow several times would copy the arrays before
}

// array has the values of a field, null where there is none.
type array[R, V any, T element[V]] struct {
	rows []R
	get  func(*R) *V
	size int // of the values, in bytes
	room int // for what comes after it
}

// TextValue is for connections that prepare no statements, and so do not know what type PostgreSQL expects.
func (a *array[R, V, T]) TextValue() (pgtype.Text, error) {
	var t T
	_, oid := t.oids()
	values := make(pgtype.FlatArray[*V], len(a.rows))
	for i := range a.rows {
		values[i] = a.get(&a.rows[i])
	}
	literal, err := pgtype.NewMap().Encode(oid, pgtype.TextFormatCode, values, nil)
	return pgtype.Text{String: string(literal), Valid: true}, err
}

func (a *array[R, V, T]) bytes() int { return arrayHeader + 4*len(a.rows) + a.size }

func (a *array[R, V, T]) makeRoom(bytes int) { a.room = bytes }

const arrayHeader = 20 // bytes, of an array that is not empty

// appendArray appends the array in PostgreSQL's binary format.
func (a *array[R, V, T]) appendArray(buf []byte) []byte {
	var t T
	element, _ := t.oids()
	dimensions := min(1, len(a.rows))
	buf = slices.Grow(buf, a.bytes()+a.room)
	buf = binary.BigEndian.AppendUint32(buf, uint32(dimensions))
	buf = binary.BigEndian.AppendUint32(buf, 1) // there may be nulls
	buf = binary.BigEndian.AppendUint32(buf, element)
	if dimensions > 0 {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(a.rows)))
		buf = binary.BigEndian.AppendUint32(buf, 1) // the first subscript
	}
	for i := range a.rows {
		v := a.get(&a.rows[i])
		if v == nil {
			buf = append(buf, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(t.size(*v)))
		buf = t.append(buf, *v)
	}
	return buf
}

// arrayCodec has arrays written in one go. pgx's own codec looks at the type of each element.
type arrayCodec struct{ *pgtype.ArrayCodec }

// PlanEncode returns how a value is encoded.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(binaryArray); ok && format == pgtype.BinaryFormatCode {
		return arrayPlan{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type arrayPlan struct{}

// Encode appends the array.
func (arrayPlan) Encode(value any, buf []byte) ([]byte, error) {
	return value.(binaryArray).appendArray(buf), nil
}

// teach makes a connection write arrays by arrayCodec.
func teach(conn *pgx.Conn) {
	m := conn.TypeMap()
	for _, oid := range []uint32{pgtype.TextArrayOID, pgtype.TimestamptzArrayOID, pgtype.Int4ArrayOID} {
		t, _ := m.TypeForOID(oid)
		if codec, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			m.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: arrayCodec{codec}})
		}
	}
}

// notEmpty returns nil for the empty string, which stands for no value.
func notEmpty(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
