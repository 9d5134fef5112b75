package partnercenter

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Secret is a string that nothing prints: a client secret or an access token. Formatting, logging and marshalling it
// give "[redacted]"; only [Secret.Reveal] gives the value. (fmt cannot call methods on unexported struct fields: keep
// a Secret in exported ones, or out of structs that are printed.)
type Secret string

const redacted = "[redacted]"

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// secrets are what a server was sent and may echo.
type secrets []Secret

// shortSecret is the length below which a secret is taken out only where it is no part of a longer word: it protects
// nothing, and few words of an error would be left.
const shortSecret = 4

// redact returns text without the secrets, however they are written. It looks for all of them in the original text: one
// may be part of another, overlap it, or be so short that it is part of "[redacted]".
func (all secrets) redact(text string) string {
	secret := make([]bool, len(text)) // for each byte, whether it belongs to one
	for _, s := range all {
		if len(s) > len(text) {
			continue // it takes at least as many bytes in any form
		}
		for _, form := range s.forms() {
			for from := 0; ; from++ {
				i := strings.Index(text[from:], form)
				if i < 0 {
					break
				}
				from += i
				if len(s) < shortSecret && isPartOfWord(text, from, from+len(form)) {
					continue
				}
				for j := range len(form) {
					secret[from+j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(redacted)
		}
	}
	return b.String()
}

// isPartOfWord reports whether the word that text[from:to] begins or ends with goes on beyond it.
func isPartOfWord(text string, from, to int) bool {
	within := func(i int) bool { return i > 0 && i < len(text) && isWordByte(text[i-1]) && isWordByte(text[i]) }
	return within(from) || within(to)
}

func isWordByte(b byte) bool {
	return b >= utf8.RuneSelf || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z'
}

// forms returns the ways in which a server may echo the secret: as it is, or as HTML forms, URLs, JSON, HTML and Go's
// own errors escape it; none for an empty one.
func (s Secret) forms() []string {
	if s == "" {
		return nil
	}
	plain := string(s)
	inJSON, _ := json.Marshal(plain)
	quoted := strconv.Quote(plain)
	query := url.QueryEscape(plain)
	all := []string{
		plain, query, lowerEscapes(query), url.PathEscape(plain), html.EscapeString(plain),
		string(inJSON[1 : len(inJSON)-1]), quoted[1 : len(quoted)-1],
	}
	slices.Sort(all)
	return slices.Compact(all) // most secrets have only one
}

// lowerEscapes returns the same URL escapes with lower-case digits.
func lowerEscapes(s string) string {
	return escape.ReplaceAllStringFunc(s, strings.ToLower)
}

var escape = regexp.MustCompile("%[0-9A-F]{2}")

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb, %x and %q included.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML returns "[redacted]".
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }
