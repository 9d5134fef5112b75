// Package printable makes text from elsewhere fit to be shown. Names and error texts may hold what a terminal obeys, such as
// ESC or the C1 control U+009B, or what turns the direction of writing, so that one name looks like another:
//
//	body = printable.JSON(body) // the same document, with such characters escaped
//	page = printable.Text(page) // with U+FFFD in place of them
package printable

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
)

// Is reports whether a character is harmless wherever it is shown: it can be seen, or is a space or a line's end.
func Is(r rune) bool { return unicode.IsPrint(r) || r == '\n' || unicode.Is(unicode.Zs, r) }

// Text returns the text with U+FFFD for each character that is not printable.
func Text(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if Is(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// JSON returns an equivalent JSON document with what encoding/json leaves as it is escaped. Such characters stand in strings
// only.
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

// JSONWriter returns a writer that escapes the JSON documents written to it as JSON does, and writes them to out. Each Write
// has to end with a whole character.
func JSONWriter(out io.Writer) io.Writer { return jsonWriter{out} }

type jsonWriter struct{ out io.Writer }

func (w jsonWriter) Write(p []byte) (int, error) {
	if _, err := w.out.Write(JSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
