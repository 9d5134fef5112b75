package printable_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"partnersync/sync/printable"
)

// hostile is what an API may say.
const hostile = "\x1b[31mred\x07 \u009b2J right\u202eto left \u2066\u2028 \U000e0041 two\nlines\r\u00a0東京"

func TestText_leavesNothingUnprintable(t *testing.T) {
	t.Parallel()
	const want = "\uFFFD[31mred\uFFFD \uFFFD2J right\uFFFDto left \uFFFD\uFFFD \uFFFD two\nlines\uFFFD\u00a0東京"
	if got := string(printable.Text([]byte(hostile))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSONWriter_ofALog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(printable.JSONWriter(&out), nil)).Warn("hostile", "name", hostile)
	if i := strings.IndexFunc(out.String(), unprintable); i >= 0 {
		t.Errorf("not printable from %q on", out.String()[i:])
	}
	var read map[string]any
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != hostile {
		t.Errorf("read back %q (%v), want %q", read["name"], err, hostile)
	}
}

func TestJSONWriter_tellsOfErrors(t *testing.T) {
	t.Parallel()
	if n, err := printable.JSONWriter(full{}).Write([]byte("{}")); n != 0 || !errors.Is(err, errFull) {
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
		escaped := printable.JSON(document)
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
