package partnercenter

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// membersOf yields the members of the JSON object that body is, after a byte order mark or not. The values are parts of body, and
// valid, equal names and invalid Unicode aside. An error comes last: what comes before may still be of use.
func membersOf(body []byte) iter.Seq2[member, error] {
	return func(yield func(member, error) bool) {
		body = trimBOM(body)
		d := jsontext.NewDecoder(bytes.NewBuffer(body), tolerant()...)
		if d.PeekKind() != '{' {
			yield(member{}, errNoObject)
			return
		}
		_, err := d.ReadToken()
		for err == nil && d.PeekKind() == '"' {
			var name jsontext.Token
			if name, err = d.ReadToken(); err != nil {
				break
			}
			m := member{name: name.String()}
			var value jsontext.Value
			if value, err = d.ReadValue(); err != nil {
				break
			}
			end := d.InputOffset()
			m.value = body[end-int64(len(value)) : end]
			if !yield(m, nil) {
				return
			}
		}
		if err == nil {
			_, err = d.ReadToken()
		}
		if err == nil {
			if _, e := d.ReadToken(); e != io.EOF {
				err = errTrailing
			}
		}
		if err != nil {
			yield(member{}, err)
		}
	}
}

// member is a member of an object.
type member struct {
	name  string
	value jsontext.Value
}

// reader walks a JSON text from value to value. The text is known to be valid, equal names and invalid Unicode aside, so
// that walking it meets no errors, and passing over a value is no more than finding its end: that is several times as fast as
// a decoder, which looks at each token's grammar again.
type reader struct {
	body    []byte
	at      int    // in body, of what comes next
	name    []byte // of the current member, if there are escapes in it
	scratch []byte // the last string, if there are escapes in it
	plain   bool   // the last value is a string that says what stands in it: ASCII without escapes

	nameReplaced bool // invalid Unicode in name has become U+FFFD
}

var (
	errNoObject = errors.New("it is no JSON object")
	errTrailing = errors.New("something follows the JSON value")
	errNoText   = errors.New("a value that must be a string is none")
)

// tolerant lets equal names and invalid Unicode pass.
func tolerant() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// reset begins with a valid text.
func (r *reader) reset(body []byte) { r.body, r.at = body, 0 }

// peek returns the kind of what comes next: of a value, or '}' or ']'; 0 at the end.
func (r *reader) peek() jsontext.Kind {
	for ; r.at < len(r.body); r.at++ {
		switch c := r.body[r.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':': // where these stand has been checked
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return '0'
		default:
			return jsontext.Kind(c)
		}
	}
	return 0
}

// value returns the value that comes next, a part of the body.
func (r *reader) value() jsontext.Value {
	kind, start := r.peek(), r.at
	switch kind {
	case '"':
		var length int
		length, r.plain = stringLen(r.body[r.at:])
		r.at += length
	case '{', '[':
		r.at += nestedLen(r.body[r.at:])
	default:
		r.at += scalarLen(r.body[r.at:])
	}
	return r.body[start:r.at]
}

// skip passes over the value that comes next.
func (r *reader) skip() { r.value() }

// stringLen returns the length of the JSON string that text begins with, and whether all of it is ASCII and no escape.
func stringLen(text []byte) (length int, plain bool) {
	var seen byte
	plain = true
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			return i + 1, plain && seen < utf8.RuneSelf
		}
		if c == '\\' {
			plain = false
			i++
		}
		seen |= c
	}
	return len(text), false
}

// nestedLen returns the length of the JSON object or array that text begins with.
func nestedLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end := i + 1 + bytes.IndexByte(text[i+1:], '"')
			if text[end-1] == '\\' { // maybe one that belongs to the string
				length, _ := stringLen(text[i:])
				end = i + length - 1
			}
			i = end
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// scalarLen returns the length of the number, true, false or null that text begins with.
func scalarLen(text []byte) int {
	for i, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n', ',', '}', ']':
			return i
		}
	}
	return len(text)
}

// members yields the names of the object that comes next. The loop must read each member's value; a name is good until
// then.
func (r *reader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r.peek()
		r.at++
		for r.peek() == '"' {
			name, replaced := r.unquoted(r.value())
			if r.nameReplaced = replaced; len(r.scratch) > 0 {
				r.name, r.scratch = append(r.name[:0], name...), r.scratch[:0] // the member's value may be unquoted, too
				name = r.name
			}
			if !yield(name) {
				return
			}
		}
		r.at++
	}
}

// elements yields the kinds of the elements of the array that comes next. The loop must read each.
func (r *reader) elements() iter.Seq[jsontext.Kind] {
	return func(yield func(jsontext.Kind) bool) {
		r.peek()
		r.at++
		for kind := r.peek(); kind != ']' && kind != 0; kind = r.peek() {
			if !yield(kind) {
				return
			}
		}
		r.at++
	}
}

// unquoted returns what a string says that value has just returned, good until the next call, and whether invalid Unicode in
// it has become U+FFFD.
func (r *reader) unquoted(raw jsontext.Value) (text []byte, replaced bool) {
	r.scratch = r.scratch[:0]
	inner := raw[1 : len(raw)-1]
	if r.plain || bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, false
	}
	// The error says that something was replaced: a whole string it is.
	text, err := jsontext.AppendUnquote(r.scratch[:0], raw)
	r.scratch = text
	return text, err != nil
}

// textOrNull reads a string; null is "".
func (r *reader) textOrNull() (string, error) {
	raw := r.value()
	switch raw.Kind() {
	case '"':
		text, _ := r.unquoted(raw)
		return string(text), nil
	case 'n':
		return "", nil
	}
	return "", errNoText
}
