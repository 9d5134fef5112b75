package partnercenter

import (
	"bytes"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// items reads the items of a listing's pages. Each method reads the value of one member of the current item. Where the
// value does not fit, that is noted and the result is nil.
type items struct {
	reader
	listing *Listing
	*values
	inner *items // reads arrays

	misfits []misfit // of the current item
	others  []byte   // its unknown members, for Extra: "name":value with a comma after each
}

func newItems(l *Listing) *items {
	return &items{listing: l, values: &values{words: map[string]*string{}}}
}

// misfit is a value of a wrong type or range.
type misfit struct {
	name string
	raw  jsontext.Value
}

// decodePage yields the usable items of a page, which is a valid JSON array or nil.
func decodePage[T any](r *items, page []byte, decode func(*items) (T, bool)) iter.Seq[T] {
	return func(yield func(T) bool) {
		r.reset(page)
		for kind := range r.elements() {
			item, ok := decodeItem(r, kind, decode)
			if ok && !yield(item) {
				return
			}
		}
	}
}

func decodeItem[T any](r *items, kind jsontext.Kind, decode func(*items) (T, bool)) (item T, ok bool) {
	r.listing.Items++
	if kind == '{' {
		r.misfits, r.others = r.misfits[:0], r.others[:0]
		item, ok = decode(r)
	} else {
		r.skip()
	}
	if !ok {
		r.listing.Skipped++
		return item, false
	}
	r.listing.Misfits += len(r.misfits)
	return item, true
}

// id reads an id, as received but for invalid Unicode; "" if there is none that can be used.
func (r *items) id() string {
	raw := r.value()
	if raw.Kind() != '"' {
		return ""
	}
	text, replaced := r.unquoted(raw)
	if replaced {
		r.listing.Replaced++
	}
	return r.text(text)
}

// string reads a string.
func (r *items) string(name string) *string {
	raw, ok := r.known(name, '"')
	if !ok {
		return nil
	}
	return r.strings.add(r.text(r.str(raw)))
}

// shared reads a string of which there are few distinct values; items share them.
func (r *items) shared(name string) *string {
	raw, ok := r.known(name, '"')
	if !ok {
		return nil
	}
	return r.word(r.str(raw))
}

// time reads a time. The service's stand-in for "none", 0001-01-01, is nil and no misfit.
func (r *items) time(name string) *time.Time {
	raw, ok := r.known(name, '"')
	if !ok {
		return nil
	}
	t, ok := parseTime(r.str(raw))
	switch {
	case !ok || t.Unix() >= year10000:
		r.misfit(name, raw)
		return nil
	case t.Unix() < year2:
		return nil
	}
	return r.times.add(t)
}

var (
	year2     = time.Date(2, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	year10000 = time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
)

// count reads a whole number of 32 bits.
func (r *items) count(name string) *int32 {
	raw, ok := r.known(name, '0')
	if !ok {
		return nil
	}
	n, ok := wholeNumber(raw)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		r.misfit(name, raw)
		return nil
	}
	return r.counts.add(int32(n))
}

// array reads an array. element reads one element and says whether it fits; where one does not, the array is empty, and
// the whole value noted. It is noted too where element has called other, for members that would be lost otherwise.
func array[T any](r *items, name string, element func(*items) (T, bool)) []T {
	raw, ok := r.known(name, '[')
	if !ok {
		return nil
	}
	if r.inner == nil {
		r.inner = &items{listing: r.listing, values: r.values}
	}
	in := r.inner
	in.reset(raw)
	in.misfits, in.others = in.misfits[:0], in.others[:0]
	var all []T
	for range in.elements() {
		e, ok := element(in)
		if !ok {
			r.misfit(name, raw)
			return nil
		}
		all = append(all, e)
	}
	if len(in.others) > 0 {
		r.misfit(name, raw)
	}
	return all
}

// known reads the value of a member that must be of this kind. null is none, but no misfit.
func (r *items) known(name string, kind jsontext.Kind) (raw jsontext.Value, ok bool) {
	raw = r.value()
	if len(r.misfits) > 0 { // of equal names the last counts
		r.misfits = slices.DeleteFunc(r.misfits, func(m misfit) bool { return m.name == name })
	}
	switch raw.Kind() {
	case kind:
		return raw, true
	case 'n':
	default:
		r.misfit(name, raw)
	}
	return nil, false
}

func (r *items) misfit(name string, raw jsontext.Value) {
	r.misfits = append(r.misfits, misfit{name, raw.Clone()})
}

// str returns what a string says, good until the next call, without what databases do not take.
func (r *items) str(raw jsontext.Value) []byte {
	text, replaced := r.unquoted(raw)
	if !r.plain && bytes.IndexByte(text, 0) >= 0 {
		text, replaced = bytes.ReplaceAll(text, []byte{0}, []byte("\ufffd")), true
	}
	if replaced {
		r.listing.Replaced++
	}
	return text
}

// other keeps a member that this version does not know, unless it only says how to go on asking. One list of the API
// documentation has " attributes" with a space.
func (r *items) other(name []byte) {
	switch string(bytes.TrimSpace(name)) {
	case "links", "devicesLink", "self", "attributes":
		r.skip()
		return
	}
	r.keep(string(name), r.nameReplaced, r.value())
}

// keep appends a member to those for Extra, and counts it if something in it was replaced.
func (r *items) keep(name string, nameReplaced bool, value jsontext.Value) {
	others, replaced := appendMember(r.others, name, value)
	if r.others = others; replaced || nameReplaced {
		r.listing.Replaced++
	}
}

// extra ends the item: it returns as an object what is left of it, its unknown members and its misfits; nil if that is
// nothing.
func (r *items) extra() []byte {
	for _, m := range r.misfits {
		r.keep(m.name, false, m.raw)
	}
	if len(r.others) == 0 {
		return nil
	}
	last := len(r.others) - 1 // the comma
	return slices.Concat([]byte("{"), r.others[:last], []byte("}"))
}
