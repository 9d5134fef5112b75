package sync

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonb writes a valid JSON text as PostgreSQL prints a jsonb of it: the shorter names first, of equal names the last one,
// and a space after each colon and comma. The store then sees by the text alone that a value is as it was. Numbers stay as
// they are; PostgreSQL writes some otherwise, and has to compare those itself.
func jsonb(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return string(appendJSONB(nil, d))
}

// appendJSONB appends the value that d reads next.
func appendJSONB(dst []byte, d *jsontext.Decoder) []byte {
	switch d.PeekKind() {
	case '{':
		return appendObject(dst, d)
	case '[':
		return appendArray(dst, d)
	}
	value, err := d.ReadValue()
	if err != nil {
		panic(err) // the text is valid
	}
	return append(dst, value...)
}

func appendArray(dst []byte, d *jsontext.Decoder) []byte {
	token(d)
	dst = append(dst, '[')
	for first := true; d.PeekKind() != ']'; first = false {
		if !first {
			dst = append(dst, ", "...)
		}
		dst = appendJSONB(dst, d)
	}
	token(d)
	return append(dst, ']')
}

func appendObject(dst []byte, d *jsontext.Decoder) []byte {
	type member struct {
		name string
		text []byte // quoted name and value
	}
	var members []member
	token(d)
	for d.PeekKind() != '}' {
		name := token(d).String()
		quoted, _ := jsontext.AppendQuote(nil, name) // the client has replaced invalid Unicode
		members = append(members, member{name, appendJSONB(append(quoted, ": "...), d)})
	}
	token(d)
	slices.SortStableFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	dst = append(dst, '{')
	for i, m := range members {
		if i+1 < len(members) && members[i+1].name == m.name {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ", "...)
		}
		dst = append(dst, m.text...)
	}
	return append(dst, '}')
}

func token(d *jsontext.Decoder) jsontext.Token {
	t, err := d.ReadToken()
	if err != nil {
		panic(err) // the text is valid
	}
	return t
}
