package sanitize_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"partnersync/store/sanitize"
)

// hostile is what an API may say.
const hostile = "\x1b[31mred\x07 \u009b2J right\u202eto left \u2066\u2028 \U000e0041 two\nlines\r\u00a0東京"

func TestForTerminal_leavesNothingUnprintable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		hostile:                  "\uFFFD[31mred\uFFFD \uFFFD2J right\uFFFDto left \uFFFD  \uFFFD two\nlines \u00a0東京",
		`Büro "Köln" \ 東京`:       `Büro "Köln" \ 東京`,
		"two\nlines\r\n\x1b[2J":  "two\nlines \n\uFFFD[2J",
		"invalid \xff, nul \x00": "invalid \uFFFD, nul \uFFFD",
	} {
		if got := sanitize.ForTerminal(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
		if got, want := sanitize.Line(s), strings.ReplaceAll(want, "\n", " "); got != want {
			t.Errorf("%q in a line: got %q, want %q", s, got, want)
		}
	}
}

func TestForStorage_replacesWhatTextCannotHold(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"": "", hostile: hostile, "a\x00b\xff\xfec\xf0\x9f": "a\uFFFDb\uFFFDc\uFFFD"} {
		if got := sanitize.ForStorage(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestShorten_cutsAtACharacter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		s    string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"aüb", 2, "a…"},
		{"aüb", 3, "aü…"},
		{"😀", 3, "…"},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := sanitize.Shorten(tt.s, tt.most); got != tt.want {
			t.Errorf("%q to %d bytes: got %q, want %q", tt.s, tt.most, got, tt.want)
		}
	}
}

func TestJSONWriter_ofALog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(sanitize.JSONWriter(&out), nil)).Warn("hostile", "name", hostile)
	if i := strings.IndexFunc(out.String(), unprintable); i >= 0 {
		t.Errorf("not printable from %q on", out.String()[i:])
	}
	var read map[string]any
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != hostile {
		t.Errorf("read back %q (%v), want %q", read["name"], err, hostile)
	}
}

func TestJSONWriter_returnsErrors(t *testing.T) {
	t.Parallel()
	if n, err := sanitize.JSONWriter(full{}).Write([]byte("{}")); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(hostile)
	f.Add("invalid \xff")
	f.Fuzz(func(t *testing.T, text string) {
		document, err := json.Marshal([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		escaped := sanitize.JSON(document)
		if i := bytes.IndexFunc(escaped, unprintable); i >= 0 {
			t.Errorf("not printable from %q on", escaped[i:])
		}
		var want, got []string
		if err := json.Unmarshal(document, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil || got[0] != want[0] {
			t.Errorf("read back %q (%v), want %q", got, err, want)
		}
	})
}

func unprintable(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// full is a writer that has no room left.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }
