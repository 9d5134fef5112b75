package partnercenter

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// reader walks one JSON text token by token. Its first error sticks, and what is read after it is empty, so that only
// the end needs a check. Equal names and invalid Unicode are no errors.
type reader struct {
	d       *jsontext.Decoder
	body    []byte
	err     error
	name    []byte // of the current member
	scratch []byte // the last string with escapes in it

	nameReplaced bool // invalid Unicode in name has become U+FFFD
}

var (
	errTrailing = errors.New("something follows the JSON value")
	errNoText   = errors.New("a value that must be a string is none")
)

// newReader returns a reader of body, which it does not copy; a byte order mark is passed over.
func newReader(body []byte) *reader {
	r := &reader{}
	r.reset(body)
	return r
}

func (r *reader) reset(body []byte) {
	r.body = trimBOM(body)
	// Of a bytes.Buffer the decoder reads the bytes themselves.
	r.d = jsontext.NewDecoder(bytes.NewBuffer(r.body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// peek returns the kind of what comes next; 0 at the end and after an error.
func (r *reader) peek() jsontext.Kind {
	if r.err != nil {
		return 0
	}
	return r.d.PeekKind()
}

// value reads the value that comes next. It is good until the next read.
func (r *reader) value() jsontext.Value {
	if r.err != nil {
		return nil
	}
	v, err := r.d.ReadValue()
	r.err = err
	return v
}

// skip passes over the value that comes next. The decoder's own SkipValue goes token by token, which takes several times as
// long where all of the text is there.
func (r *reader) skip() { r.value() }

func (r *reader) delimiter() {
	if r.err == nil {
		_, r.err = r.d.ReadToken()
	}
}

// end checks that nothing follows.
func (r *reader) end() {
	if r.err != nil {
		return
	}
	if _, err := r.d.ReadToken(); err != io.EOF {
		r.err = errTrailing
	}
}

// members yields the names of the object that comes next. The loop must read each member's value; a name is good until
// then.
func (r *reader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r.delimiter()
		for r.peek() == '"' {
			raw := r.value()
			if r.err != nil {
				return
			}
			text, replaced := r.text(raw)
			r.name, r.nameReplaced = append(r.name[:0], text...), replaced
			if !yield(r.name) {
				return
			}
		}
		r.delimiter()
	}
}

// elements yields the kinds of the elements of the array that comes next. The loop must read each.
func (r *reader) elements() iter.Seq[jsontext.Kind] {
	return func(yield func(jsontext.Kind) bool) {
		r.delimiter()
		for kind := r.peek(); kind != ']' && kind != 0; kind = r.peek() {
			if !yield(kind) {
				return
			}
		}
		r.delimiter()
	}
}

// array passes over the value that comes next, counts its elements if it is an array, and returns it. ok says that it is
// an array or null.
func (r *reader) array() (raw []byte, count int, ok bool) {
	switch r.peek() {
	case '[':
	case 'n':
		r.skip()
		return nil, 0, true
	default:
		r.skip()
		return nil, 0, false
	}
	r.delimiter()
	if r.err != nil {
		return nil, 0, false
	}
	start := r.d.InputOffset() - 1
	for kind := r.peek(); kind != ']' && kind != 0; kind = r.peek() {
		r.skip()
		count++
	}
	r.delimiter()
	return r.body[start:r.d.InputOffset()], count, true
}

// text returns what a JSON string says, good until the next call, and whether invalid Unicode in it has become U+FFFD.
func (r *reader) text(raw jsontext.Value) (text []byte, replaced bool) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, false
	}
	// The error says that something was replaced: the decoder has seen a whole string here.
	text, err := jsontext.AppendUnquote(r.scratch[:0], raw)
	r.scratch = text
	return text, err != nil
}

// textOrNull reads a string; null is "".
func (r *reader) textOrNull() (string, error) {
	raw := r.value()
	switch raw.Kind() {
	case '"':
		text, _ := r.text(raw)
		return string(text), nil
	case 'n':
		return "", nil
	}
	return "", errNoText
}

// wordOrNumber reads a string or number as text; anything else is "".
func (r *reader) wordOrNumber() string {
	raw := r.value()
	switch raw.Kind() {
	case '"':
		text, _ := r.text(raw)
		return string(text)
	case '0':
		return string(raw)
	}
	return ""
}
