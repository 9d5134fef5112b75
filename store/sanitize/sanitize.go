// Package sanitize makes text that others wrote fit for where it goes: the database, a terminal or a page, or a
// message of limited length. It depends on nothing, so that any package may use it.
//
// Names and error texts may hold characters that a terminal obeys, such as ESC or the C1 control U+009B, or that
// turn the direction of writing, so that one name looks like another.
package sanitize

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ForStorage returns s with U+FFFD in place of what PostgreSQL's text cannot hold: NUL and invalid UTF-8.
func ForStorage(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// ForTerminal returns s fit to be shown on a terminal or a page. Lines stay lines; other white space becomes a
// space, and control, format and unassigned characters become U+FFFD.
func ForTerminal(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case Printable(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
}

// Line is ForTerminal for text within a line: line ends become spaces as well.
func Line(s string) string { return strings.ReplaceAll(ForTerminal(s), "\n", " ") }

// Printable reports whether a character is harmless wherever it is shown: it is visible, a space or a line end.
func Printable(r rune) bool { return unicode.IsPrint(r) || r == '\n' || unicode.Is(unicode.Zs, r) }

// Shorten cuts s after at most so many bytes, at the end of a character, and adds an ellipsis if anything was cut
// off.
func Shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// JSON returns an equivalent of a JSON document in which every character that is not printable is escaped,
// including those that encoding/json leaves alone. They occur in strings only.
func JSON(document []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(document) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// JSONWriter returns a writer that passes JSON documents on to out, escaped as by [JSON]. Each Write has to end
// with a whole character.
func JSONWriter(out io.Writer) io.Writer { return jsonWriter{out} }

type jsonWriter struct{ out io.Writer }

// Write escapes p and writes it.
func (w jsonWriter) Write(p []byte) (int, error) {
	if _, err := w.out.Write(JSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
