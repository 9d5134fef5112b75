package partnercenter

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// wholeSeconds returns an answer of the authority with its times as the OAuth library takes them, whole numbers: others
// are cut off to such, and what is no number is left out. The library would refuse the answer for their sake.
func wholeSeconds(body []byte) []byte {
	var said map[string]json.RawMessage
	if json.Unmarshal(body, &said) != nil {
		return body
	}
	for name, value := range said {
		switch strings.ToLower(name) { // as the library reads names
		case "expires_in", "interval":
			if n, ok := seconds(value); ok {
				said[name] = strconv.AppendInt(nil, n, 10)
			} else {
				delete(said, name)
			}
		}
	}
	lenient, err := json.Marshal(said)
	if err != nil {
		return body
	}
	return lenient
}

// seconds reads a number, or a string that holds one.
func seconds(value json.RawMessage) (n int64, ok bool) {
	text := string(value)
	if s, err := strconv.Unquote(text); err == nil {
		text = strings.TrimSpace(s)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return int64(max(math.MinInt32, min(f, math.MaxInt32))), true
}
