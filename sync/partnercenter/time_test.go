package partnercenter

import (
	"testing"
	"time"
)

func TestParseTime_readsWhatTheAPIWrites(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"2017-07-25T01:51:00", "2017-07-25T01:51:00Z"},
		{"2017-08-09T14:43:26.0092288-07:00", "2017-08-09T21:43:26.0092288Z"},
		{"2020-01-30T09:10:33.2417951+01:00", "2020-01-30T08:10:33.2417951Z"},
		{"2020-09-02T23:26:19.7753934Z", "2020-09-02T23:26:19.7753934Z"},
		{"2020-09-02T23:26:19.5", "2020-09-02T23:26:19.5Z"},
		{"2020-09-02T23:26:19.123456789123456Z", "2020-09-02T23:26:19.123456789Z"},
		{"2020-09-02t23:26:19z", "2020-09-02T23:26:19Z"},
		{"2020-09-02 23:26:19", "2020-09-02T23:26:19Z"},
		{"2020-09-02 23:26:19+05:30", "2020-09-02T17:56:19Z"},
		{"2020-09-02", "2020-09-02T00:00:00Z"},
		{"0001-01-01T00:00:00", "0001-01-01T00:00:00Z"},
		{"", ""},
		{"2020-09-02T", ""},
		{"2020-09-02Z", ""},
		{"2020-09-02T23:26", ""},
		{"2020-02-30T00:00:00Z", ""},
		{"2020-09-02T24:00:00Z", ""},
		{"2020-09-02T23:26:19+1:00", ""},
		{"10000-01-01T00:00:00Z", ""},
		{"/Date(1599089179000)/", ""},
		{" 2020-09-02", ""},
	}
	for _, tt := range tests {
		got, ok := parseTime([]byte(tt.in))
		if ok != (tt.want != "") || ok && got.Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%q: %v, %v; want %q", tt.in, got, ok, tt.want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2017-07-25T01:51:00", "2017-08-09T14:43:26.0092288-07:00", "2020-09-02", "2020-09-02t23:26:19z", "0001-01-01T00:00:00+14:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime([]byte(s))
		if !ok {
			return
		}
		if got.Location() != time.UTC {
			t.Errorf("%q is in %v", s, got.Location())
		}
		if y := got.Year(); y < 1 || y > 9999 {
			return // cannot be written as RFC 3339 again
		}
		if again, ok := parseTime([]byte(got.Format(time.RFC3339Nano))); !ok || !again.Equal(got) {
			t.Errorf("%q: %v, read again as %v", s, got, again)
		}
	})
}
