package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// hostileText is what an API may say that a terminal must not be told.
const hostileText = "\x1b[31mred\x07 \u009b2J right\u202eto left \u2028 \U000e0041 two\nlines\r"

func TestOneLine_isHarmlessOnATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Büro "Köln" \ 東京`:       `Büro "Köln" \ 東京`,
		"two\nlines\r\n":         "two lines  ",
		"\x1b[31mred\x07":        " [31mred ",
		"\u009b2J":               " 2J",
		"right\u202eto left":     "right to left",
		"invalid \xff, nul \x00": "invalid \uFFFD, nul  ",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestHarmless_leavesLines(t *testing.T) {
	t.Parallel()
	if got, want := harmless("two\nlines\r\n\x1b[2J"), "two\nlines \n [2J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintJSON_isHarmlessAndLosesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printJSON(&out, map[string]string{"name": hostileText}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable from %q on", out.String()[i:])
	}
	var read map[string]string
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read["name"] != hostileText {
		t.Errorf("read back %q (%v), want %q", read["name"], err, hostileText)
	}
}

func FuzzPrintJSON(f *testing.F) {
	f.Add(hostileText)
	f.Add("invalid \xff")
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		if err := printJSON(&out, []string{text}); err != nil {
			t.Fatal(err)
		}
		var read []string
		if err := json.Unmarshal(out.Bytes(), &read); err != nil || read[0] != strings.ToValidUTF8(text, "\uFFFD") && len(read[0]) < len(text) {
			t.Errorf("%q became %q, %v", text, read, err)
		}
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q is in %q", r, out.String())
			}
		}
	})
}

func TestPalette_coloursTerminalsOnly(t *testing.T) {
	t.Parallel()
	if got := palette(false).red("failed"); got != "failed" {
		t.Errorf("without colours: %q", got)
	}
	if got := palette(true).red("failed"); got != "\x1b[31mfailed\x1b[0m" {
		t.Errorf("with colours: %q", got)
	}
	a := &app{lookupEnv: func(string) (string, bool) { return "", false }}
	if a.palette(&bytes.Buffer{}) {
		t.Error("a buffer is given colours")
	}
}
