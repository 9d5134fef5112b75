package partnercentertest

import (
	"strconv"
	"time"
)

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

// appendMember appends a member whose value is a string, with a comma before. The API leaves out what it has no value
// for, and so does this.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return appendString(dst, value)
}

// appendEnd appends what every resource ends with, and before the bracket further members as raw JSON.
func appendEnd(dst []byte, objectType, extra string) []byte {
	dst = append(append(append(dst, `,"attributes":{"objectType":"`...), objectType...), `"}`...)
	if extra != "" {
		dst = append(append(dst, ','), extra...)
	}
	return append(dst, '}')
}

// zoneless writes a time as the API does in batches, jobs and answers to writes: in UTC, which it does not say, and
// whole seconds. The zero time is the date that the API has for none.
func zoneless(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

// zoned writes a time as the API does in devices and policies: with its offset and seven digits of the second.
func zoned(t time.Time) string { return t.Format("2006-01-02T15:04:05.0000000-07:00") }

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
