package partnercenter

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// appendMember appends "name":value and a comma, in the compact form of appendClean.
func appendMember(dst []byte, name string, value jsontext.Value) (to []byte, replaced bool) {
	// An error would only say that the name held invalid Unicode, which is replaced.
	quoted, _ := jsontext.AppendQuote(nil, name)
	dst, inName := appendClean(dst, quoted)
	dst, inValue := appendClean(append(dst, ':'), value)
	return append(dst, ','), inName || inValue
}

// appendClean appends a JSON value in compact form and so that databases take it: invalid Unicode and NUL become
// U+FFFD, which replaced reports, and a number too great or too fine for them becomes a string of its digits.
func appendClean(dst []byte, value jsontext.Value) (to []byte, replaced bool) {
	text, err := jsontext.AppendFormat(nil, value, jsontext.AllowDuplicateNames(true))
	if err != nil { // for invalid Unicode, since value has been read with the same options otherwise
		text, _ = jsontext.AppendFormat(nil, value, tolerant()...)
		replaced = true
	}
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case c == '"':
			n, _ = stringLen(text)
			before := len(dst)
			dst = appendWithoutNUL(dst, text[:n])
			replaced = replaced || len(dst)-before != n
		case c == '-' || isDigit(c):
			n = numberLen(text)
			dst = appendNumber(dst, text[:n])
		default:
			dst = append(dst, c)
		}
		text = text[n:]
	}
	return dst, replaced
}

// appendWithoutNUL appends a JSON string with U+FFFD for each NUL, which formatting has left as \u0000.
func appendWithoutNUL(dst, quoted []byte) []byte {
	for {
		i := bytes.IndexByte(quoted, '\\')
		if i < 0 {
			return append(dst, quoted...)
		}
		dst, quoted = append(dst, quoted[:i]...), quoted[i:]
		if rest, ok := bytes.CutPrefix(quoted, []byte(`\u0000`)); ok {
			dst, quoted = append(dst, "\ufffd"...), rest
			continue
		}
		dst, quoted = append(dst, quoted[:2]...), quoted[2:]
	}
}

// numberLen returns the length of the JSON number that text begins with.
func numberLen(text []byte) int {
	rest := bytes.TrimLeft(text, "+-.0123456789eE")
	return len(text) - len(rest)
}

// appendNumber appends a number, quoted if it has over 1,000 digits or an exponent of more than three.
func appendNumber(dst, number []byte) []byte {
	_, exponent, _ := bytes.Cut(bytes.ToLower(number), []byte("e"))
	if len(number) <= 1000 && len(bytes.TrimLeft(exponent, "+-")) <= 3 {
		return append(dst, number...)
	}
	dst = append(append(dst, '"'), number...)
	return append(dst, '"')
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
