package partnercenter

import (
	"bytes"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lenient lets equal names (of which the last counts) and invalid Unicode (which becomes U+FFFD) pass.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

func newDecoder(text []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(text), lenient) // a Buffer is read in place
}

// item reads the items of a listing's pages, one after the other. The methods that return a value read that of the
// current member of the current item. A value that does not fit (one of a wrong type or range) is nil and kept for
// Extra.
type item struct {
	decoder *jsontext.Decoder
	listing *Listing

	identified bool     // the current item has an id
	misfits    []member // its values that do not fit
	unknown    []member // its members that this version does not know
}

type member struct {
	name  string
	value jsontext.Value
}

// decodeItems yields the usable items of a page, a valid JSON array or nil, and counts all of them in l. decode reads
// one item. It has to read the value of each member.
func decodeItems[T any](l *Listing, page jsontext.Value, decode func(*item) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		if page == nil {
			return
		}
		it := &item{decoder: newDecoder(page), listing: l}
		it.decoder.ReadToken()
		for kind := it.decoder.PeekKind(); kind != ']' && kind != 0; kind = it.decoder.PeekKind() {
			l.Items++
			it.identified, it.misfits, it.unknown = false, it.misfits[:0], it.unknown[:0]
			var decoded T
			if kind == '{' {
				decoded = decode(it)
			} else {
				it.decoder.SkipValue()
			}
			if !it.identified {
				l.Skipped++
				continue
			}
			l.Misfits += len(it.misfits)
			if !yield(decoded) {
				return
			}
		}
	}
}

// members yields the names of the current item's members. Of equal names the last counts.
func (it *item) members() iter.Seq[string] {
	return func(yield func(string) bool) {
		it.decoder.ReadToken()
		for it.decoder.PeekKind() == '"' {
			name, _ := it.decoder.ReadToken()
			if !yield(name.String()) {
				return
			}
		}
		it.decoder.ReadToken()
	}
}

// value returns the value of the current member, good until the next one is read. Errors cannot occur, since the page
// has been found to be valid.
func (it *item) value() jsontext.Value {
	value, _ := it.decoder.ReadValue()
	return value
}

// known reads the value of a member that must be of this kind. null is no value, but fits.
func (it *item) known(name string, kind jsontext.Kind) (value jsontext.Value, ok bool) {
	value = it.value()
	it.misfits = slices.DeleteFunc(it.misfits, func(m member) bool { return m.name == name })
	return value, it.fits(name, value, kind)
}

// fits reports whether a value is of that kind. Any other one but null is a misfit.
func (it *item) fits(name string, value jsontext.Value, kind jsontext.Kind) bool {
	if k := value.Kind(); k != kind && k != 'n' && k != 0 {
		it.misfit(name, value)
	}
	return value.Kind() == kind
}

func (it *item) misfit(name string, value jsontext.Value) {
	it.misfits = append(it.misfits, member{name, value.Clone()})
}

// id reads the id, as received but for invalid Unicode; "" if there is none that can be used.
func (it *item) id() string {
	it.identified = false
	value := it.value()
	if value.Kind() != '"' {
		return ""
	}
	id, err := jsontext.AppendUnquote(make([]byte, 0, 128), value)
	if err != nil {
		it.listing.Replaced++
	}
	it.identified = len(id) > 0
	return string(id)
}

func (it *item) text(name string) *string {
	value, ok := it.known(name, '"')
	if !ok {
		return nil
	}
	return it.unquoted(value)
}

// textOf returns the text of a value within the current member's, of that name; nil if it is absent or null.
func (it *item) textOf(name string, value jsontext.Value) *string {
	if !it.fits(name, value, '"') {
		return nil
	}
	return it.unquoted(value)
}

// unquoted returns the text of a JSON string as databases take it.
func (it *item) unquoted(value jsontext.Value) *string {
	text, replaced := storable(value)
	if replaced {
		it.listing.Replaced++
	}
	return &text
}

// time reads a time. The service's stand-in for "none", 0001-01-01, is nil and no misfit.
func (it *item) time(name string) *time.Time {
	value, ok := it.known(name, '"')
	if !ok {
		return nil
	}
	text, _ := storable(value)
	t, ok := parseTime(text)
	switch {
	case !ok || t.Year() > 9999:
		it.misfit(name, value)
		return nil
	case t.Year() < 2:
		return nil
	}
	return &t
}

// count reads a whole number of 32 bits.
func (it *item) count(name string) *int32 {
	value, ok := it.known(name, '0')
	if !ok {
		return nil
	}
	n, ok := wholeNumber(value)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		it.misfit(name, value)
		return nil
	}
	return new(int32(n))
}

// skip passes over the value of the current member.
func (it *item) skip() { it.decoder.SkipValue() }

// other keeps a member that this version does not know for Extra, unless it only leads to other requests.
func (it *item) other(name string) {
	// The links of an item name its customer: here they could be looked at.
	if value := it.value(); !leadsOn(name) {
		it.unknown = append(it.unknown, member{name, value.Clone()})
	}
}

// leadsOn reports whether a member has nothing but links and the type of the object. One list of the API documentation
// has " attributes" with a space.
func leadsOn(name string) bool {
	switch strings.TrimSpace(name) {
	case "links", "devicesLink", "self", "attributes":
		return true
	}
	return false
}

// extra returns an object of the members that this version does not know and of the misfits; nil if there are none.
func (it *item) extra() []byte {
	if len(it.unknown)+len(it.misfits) == 0 {
		return nil
	}
	var text bytes.Buffer
	e := jsontext.NewEncoder(&text, lenient)
	e.WriteToken(jsontext.BeginObject)
	for _, m := range slices.Concat(it.unknown, it.misfits) {
		quoted, _ := jsontext.AppendQuote(nil, m.name)
		inName := copyStorable(e, quoted)
		if copyStorable(e, m.value) || inName {
			it.listing.Replaced++
		}
	}
	e.WriteToken(jsontext.EndObject)
	return bytes.TrimSpace(text.Bytes())
}

// copyStorable writes a value so that databases take it, and reports whether characters were replaced. A number that is
// too large or too fine for them becomes a string of its digits.
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

// storable returns the text of a JSON string, with U+FFFD for what databases do not take: NUL and invalid Unicode.
func storable(quoted jsontext.Value) (text string, replaced bool) {
	unquoted, err := jsontext.AppendUnquote(make([]byte, 0, 128), quoted)
	text = string(unquoted)
	if strings.IndexByte(text, 0) >= 0 {
		return strings.ReplaceAll(text, "\x00", "\ufffd"), true
	}
	return text, err != nil
}

// storableNumber reports whether a number has at most 1,000 digits, and an exponent of at most three.
func storableNumber(number []byte) bool {
	_, exponent, _ := bytes.Cut(bytes.ToLower(number), []byte("e"))
	return len(number) <= 1000 && len(bytes.TrimLeft(exponent, "+-")) <= 3
}

// wholeNumber reads a JSON number without a fraction, also one written 5.0 or 5e0.
func wholeNumber(value jsontext.Value) (n int64, ok bool) {
	const exact = 1 << 53 // up to there a float64 holds every whole number
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || value.Kind() != '0' || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// parseTime reads a time as the API writes it: RFC 3339 with a fraction of any length and any offset, the same without
// a zone, which the API documentation says is UTC, or a date alone; also with a space for the T and in lower case. The
// result is in UTC.
func parseTime(text string) (t time.Time, ok bool) {
	text = strings.Replace(strings.ToUpper(text), " ", "T", 1)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// trimBOM removes the byte order mark that the API puts before most of its JSON.
func trimBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\ufeff")) }
