package partnercenter

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzWithWholeSeconds(f *testing.F) {
	f.Add(`{"access_token":"<&>","expires_in":"3599.5","interval":1}`)
	f.Add(`{"expires_in":1e999}`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, body string) {
		var before, after map[string]any
		if json.Unmarshal([]byte(body), &before) != nil {
			return
		}
		lenient := withWholeSeconds([]byte(body))
		if err := json.Unmarshal(lenient, &after); err != nil {
			t.Fatalf("%s: %v", lenient, err)
		}
		if !cmp.Equal(before["access_token"], after["access_token"]) {
			t.Errorf("%s became %s", body, lenient)
		}
		var times struct {
			ExpiresIn int32 `json:"expires_in"`
			Interval  int32 `json:"interval"`
		}
		if err := json.Unmarshal(lenient, &times); err != nil {
			t.Errorf("%s: %v", lenient, err)
		}
	})
}

func TestSameHost_comparesSchemeHostAndPort(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"https://host/a", "HTTPS://Host:443/b", true},
		{"http://host", "http://host:80", true},
		{"http://[::1]:8080", "http://[::1]:8080/x", true},
		{"http://host", "https://host", false},
		{"https://host", "https://host:8443", false},
		{"https://host", "https://host.elsewhere", false},
	}
	for _, tt := range tests {
		if got := sameHost(mustParse(t, tt.a), mustParse(t, tt.b)); got != tt.want {
			t.Errorf("%s, %s: %v", tt.a, tt.b, got)
		}
	}
}
