package partnercentertest

import (
	"strconv"
	"time"
)

// bom is the UTF-8 byte order mark that the API sends before JSON.
const bom = "\xef\xbb\xbf"

// collection returns the body of a list: items are JSON values separated by commas, tail is further members, each
// with a comma before. totalCount is the number of items in this body, as the API's own SDK computes it.
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

// appendMember appends a member whose value is a string, with a comma before. Like the API, it leaves out a member
// without a value.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return appendString(dst, value)
}

// appendEnd appends what every resource ends with, and further members as raw JSON before the bracket.
func appendEnd(dst []byte, objectType, extra string) []byte {
	dst = append(append(append(dst, `,"attributes":{"objectType":"`...), objectType...), `"}`...)
	if extra != "" {
		dst = append(append(dst, ','), extra...)
	}
	return append(dst, '}')
}

// zoneless formats a time as the API does in batches, jobs and answers to writes: in UTC without saying so, in whole
// seconds. The zero time is the date that the API uses for none.
func zoneless(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

// zoned formats a time as the API does in devices and policies: with its offset and seven digits after the second.
func zoned(t time.Time) string { return t.Format("2006-01-02T15:04:05.0000000-07:00") }

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends s as it stands within a JSON string. Invalid UTF-8 is sent as it is, because a test may
// want that.
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
