package partnercenter

import (
	"strings"
	"time"
)

// values makes what a listing's items point to, many of them in one piece of memory: a list has thousands.
type values struct {
	words   map[string]*string
	recent  [16]*string     // of the words, the last one of each length, modulo 16: most words are found there without hashing
	chars   strings.Builder // in which short texts lie one after another
	strings slab[string]
	times   slab[time.Time]
	counts  slab[int32]
}

const (
	maxWords           = 1000                  // a list in which each value is another is not kept in memory
	maxText            = 256                   // bytes of a text that lies among others
	minChars, maxChars = 2 * maxText, 16 << 10 // bytes
	minSlab, maxSlab   = 16, 1024              // values
)

// word returns the one copy of a value that many items share.
func (v *values) word(text []byte) *string {
	recent := &v.recent[len(text)%len(v.recent)]
	if *recent != nil && **recent == string(text) {
		return *recent
	}
	s, ok := v.words[string(text)]
	if !ok {
		s = v.strings.add(v.text(text))
		if len(v.words) < maxWords {
			v.words[*s] = s
		}
	}
	*recent = s
	return s
}

// text returns text as a string.
func (v *values) text(text []byte) string {
	if len(text) > maxText {
		return string(text)
	}
	if room := v.chars.Cap(); v.chars.Len()+len(text) > room {
		v.chars = strings.Builder{} // those that lie in the one before keep its memory
		v.chars.Grow(max(minChars, min(2*room, maxChars)))
	}
	start := v.chars.Len()
	v.chars.Write(text)
	return v.chars.String()[start:]
}

// slab makes values of one type.
type slab[T any] struct{ made []T }

func (s *slab[T]) add(value T) *T {
	if room := cap(s.made); len(s.made) == room {
		s.made = make([]T, 0, max(minSlab, min(2*room, maxSlab)))
	}
	s.made = append(s.made, value)
	return &s.made[len(s.made)-1]
}
