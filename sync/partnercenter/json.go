package partnercenter

import (
	"bytes"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"partnersync/store/sanitize"
)

// lenient lets equal names (of which the last counts) and invalid Unicode (which becomes U+FFFD) pass.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

func newDecoder(text []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(text), lenient) // a Buffer is read in place
}

// itemReader reads the items of a page, one after the other. Its methods read the value of the current member of the
// current item. For a value that does not fit (one of a wrong type or range) they return nil, and it is kept for Extra.
type itemReader struct {
	decoder *jsontext.Decoder
	listing *Listing
	asked   uuid.UUID // the customer asked for; uuid.Nil: no single one
	name    []byte    // of the current member

	// Of the current item:
	identified bool      // it has an id
	linked     uuid.UUID // the customer that its links name instead of the one asked for; uuid.Nil: none
	misfits    []member
	unknown    []member
}

// member is a member of an object.
type member struct {
	name  string
	value jsontext.Value
}

// decodeItems yields the items of a page that have an id, and counts all of them in l. decode reads one item. Where an
// item's links name another customer than the one asked for, it ends with an error.
func decodeItems[T any](l *Listing, p page, decode func(*itemReader) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if p.items == nil {
			return
		}
		r := &itemReader{decoder: newDecoder(p.items), listing: l, asked: p.customer}
		r.decoder.ReadToken()
		for kind := r.decoder.PeekKind(); kind != ']' && kind != 0; kind = r.decoder.PeekKind() {
			l.Items++
			r.identified, r.linked, r.misfits, r.unknown = false, uuid.Nil, r.misfits[:0], r.unknown[:0]
			var decoded T
			if kind == '{' {
				decoded = decode(r)
			} else {
				r.decoder.SkipValue()
			}
			if r.linked != uuid.Nil {
				var none T
				yield(none, p.op.otherCustomer(r.asked, r.linked))
				return
			}
			if !r.identified {
				l.Skipped++
				continue
			}
			l.Misfits += len(r.misfits)
			if !yield(decoded, nil) {
				return
			}
		}
	}
}

// members yields the names of the current item's members. The loop has to read the value of each.
func (r *itemReader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r.decoder.ReadToken()
		for r.decoder.PeekKind() == '"' {
			quoted, _ := r.decoder.ReadValue()
			if r.name, _ = jsontext.AppendUnquote(r.name[:0], quoted); !yield(r.name) {
				return
			}
		}
		r.decoder.ReadToken()
	}
}

// known reads the value of a member that must be of this kind, or null. Of equal names the last counts. The
// value is valid until the next one is read; there is no error, since the page has been checked.
func (r *itemReader) known(kind jsontext.Kind) (value jsontext.Value, ok bool) {
	value, _ = r.decoder.ReadValue()
	r.misfits = slices.DeleteFunc(r.misfits, func(m member) bool { return m.name == string(r.name) })
	return value, r.fits(value, kind)
}

// fits reports whether a value is of that kind. Any other one but null is a misfit.
func (r *itemReader) fits(value jsontext.Value, kind jsontext.Kind) bool {
	if k := value.Kind(); k != kind && k != 'n' && k != 0 {
		r.misfit(value)
	}
	return value.Kind() == kind
}

// misfit keeps the value of the current member as one that does not fit.
func (r *itemReader) misfit(value jsontext.Value) {
	r.misfits = append(r.misfits, member{string(r.name), value.Clone()})
}

// id reads the id, as received except for invalid Unicode; "" if it is not usable.
func (r *itemReader) id() string {
	r.identified = false
	value, _ := r.decoder.ReadValue()
	if value.Kind() != '"' {
		return ""
	}
	id, err := jsontext.AppendUnquote(make([]byte, 0, 128), value)
	if err != nil {
		r.listing.Replaced++
	}
	r.identified = len(id) > 0
	return string(id)
}

// text reads a string.
func (r *itemReader) text() *string {
	value, ok := r.known('"')
	if !ok {
		return nil
	}
	return r.unquoted(value)
}

// textOf returns the text of a value within that of the current member; nil if it is absent, null or does not fit.
func (r *itemReader) textOf(value jsontext.Value) *string {
	if !r.fits(value, '"') {
		return nil
	}
	return r.unquoted(value)
}

// unquoted returns the text of a JSON string in the form that databases accept.
func (r *itemReader) unquoted(value jsontext.Value) *string {
	text, replaced := storable(value)
	if replaced {
		r.listing.Replaced++
	}
	return &text
}

// time reads a time. For 0001-01-01, which the service writes for none, it is nil.
func (r *itemReader) time() *time.Time {
	value, ok := r.known('"')
	if !ok {
		return nil
	}
	text, _ := storable(value)
	t, ok := parseTime(text)
	switch {
	case !ok || t.Year() > 9999:
		r.misfit(value)
		return nil
	case t.Year() < 2:
		return nil
	}
	return &t
}

// count reads a whole number of 32 bits.
func (r *itemReader) count() *int32 {
	value, ok := r.known('0')
	if !ok {
		return nil
	}
	n, ok := wholeNumber(value)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		r.misfit(value)
		return nil
	}
	return new(int32(n))
}

// other reads a member that this version does not know, and keeps it for Extra unless it only links to something.
func (r *itemReader) other() {
	value, _ := r.decoder.ReadValue()
	switch {
	case !isLink(string(r.name)):
		r.unknown = append(r.unknown, member{string(r.name), value.Clone()})
	case r.linked == uuid.Nil:
		r.linked = otherCustomer(value, r.asked)
	}
}

// isLink reports whether a member holds only links, which name the customer, or the type of the object. One list of the
// API documentation has " attributes" with a space.
func isLink(name string) bool {
	switch strings.TrimSpace(name) {
	case "links", "devicesLink", "self", "attributes":
		return true
	}
	return false
}

// extra returns an object of the members that this version does not know and of the misfits; nil if there are none.
func (r *itemReader) extra() []byte {
	if len(r.unknown)+len(r.misfits) == 0 {
		return nil
	}
	var text bytes.Buffer
	e := jsontext.NewEncoder(&text, lenient)
	e.WriteToken(jsontext.BeginObject)
	for _, m := range slices.Concat(r.unknown, r.misfits) {
		quoted, _ := jsontext.AppendQuote(nil, m.name)
		inName := copyStorable(e, quoted)
		if copyStorable(e, m.value) || inName {
			r.listing.Replaced++
		}
	}
	e.WriteToken(jsontext.EndObject)
	return bytes.TrimSpace(text.Bytes())
}

// copyStorable writes a value in a form that databases accept, and reports whether characters were replaced. A number
// that is too large or has too many digits for them becomes a string.
func copyStorable(e *jsontext.Encoder, value jsontext.Value) (replaced bool) {
	d := newDecoder(value)
	for {
		switch d.PeekKind() {
		case jsontext.KindInvalid: // the end
			return replaced
		case '{', '}', '[', ']':
			token, _ := d.ReadToken()
			e.WriteToken(token)
		case '"':
			quoted, _ := d.ReadValue()
			text, changed := storable(quoted)
			replaced = replaced || changed
			e.WriteToken(jsontext.String(text))
		case '0':
			number, _ := d.ReadValue()
			if !storableNumber(number) {
				number, _ = jsontext.AppendQuote(nil, number)
			}
			e.WriteValue(number)
		default:
			literal, _ := d.ReadValue()
			e.WriteValue(literal)
		}
	}
}

// storable returns the text of a JSON string with U+FFFD for what databases do not accept: NUL and invalid Unicode.
func storable(quoted jsontext.Value) (text string, replaced bool) {
	unquoted, err := jsontext.AppendUnquote(make([]byte, 0, 128), quoted)
	text = sanitize.ForStorage(string(unquoted))
	return text, err != nil || text != string(unquoted)
}

// storableNumber reports whether a number has at most 1,000 digits, and an exponent of at most three.
func storableNumber(number []byte) bool {
	_, exponent, _ := bytes.Cut(bytes.ToLower(number), []byte("e"))
	return len(number) <= 1000 && len(bytes.TrimLeft(exponent, "+-")) <= 3
}

// parseTime reads a time as the API writes it: RFC 3339 with a fraction of any length and any offset, the same without
// a zone, which the API documentation says is UTC, or a date alone; also with a space for the T and in lower case. The
// result is in UTC.
func parseTime(text string) (t time.Time, ok bool) {
	text = strings.Replace(strings.ToUpper(text), " ", "T", 1)
	sign := len(text) - len("-07:00")
	switch {
	case len(text) == len(time.DateOnly):
		text += "T00:00:00Z"
	case !strings.HasSuffix(text, "Z") && (sign < 0 || text[sign] != '+' && text[sign] != '-'):
		text += "Z"
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil
}
