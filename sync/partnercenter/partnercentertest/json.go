package partnercentertest

import "strconv"

// bom is the UTF-8 byte order mark that the API sends before JSON.
const bom = "\xef\xbb\xbf"

// collection returns the body of a list: items are so many JSON values with commas between, tail is members to follow
// them, each with a comma before. totalCount is the number of items in this body, as the API's own SDK computes it.
func collection(count int, items []byte, tail string) []byte {
	body := make([]byte, 0, len(items)+len(tail)+100)
	body = append(body, bom+`{"totalCount":`...)
	body = strconv.AppendInt(body, int64(count), 10)
	body = append(body, `,"items":[`...)
	body = append(body, items...)
	body = append(body, ']')
	body = append(body, tail...)
	return append(body, `,"attributes":{"objectType":"Collection"}}`...)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends s as it stands within a JSON string. Bytes that are no UTF-8 go out as they are: a test may want
// that.
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	written := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[written:i]...)
		written = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[written:]...)
}
