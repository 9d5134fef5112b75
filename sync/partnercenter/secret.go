package partnercenter

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Secret is a string that nothing prints: a client secret or an access token. Formatting, logging and marshalling it
// give "[redacted]"; only [Secret.Reveal] gives the value. (fmt cannot call methods on unexported struct fields: keep
// a Secret in exported ones, or out of structs that are printed.)
type Secret string

const redacted = "[redacted]"

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// hide returns text without the secret, should a server have echoed it: as it is, or as forms, URLs, JSON, HTML and Go's
// own errors write it.
func (s Secret) hide(text string) string {
	if s == "" {
		return text
	}
	plain := string(s)
	inJSON, _ := json.Marshal(plain)
	quoted := strconv.Quote(plain)
	form := url.QueryEscape(plain)
	for _, written := range []string{
		plain, form, lowerEscapes(form), url.PathEscape(plain), html.EscapeString(plain),
		string(inJSON[1 : len(inJSON)-1]), quoted[1 : len(quoted)-1],
	} {
		text = strings.ReplaceAll(text, written, redacted)
	}
	return text
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
