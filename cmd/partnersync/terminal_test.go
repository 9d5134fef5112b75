package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// hostileText is what an API may say that a terminal must not be told.
const hostileText = "\x1b[31mred\x07 \u009b2J right\u202eto left \u2028 \U000e0041 two\nlines\r"

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

func TestLogger_isHarmlessAndLosesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stderr: &out, logLevel: "info"}
	log, err := a.logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("customer changed", "name", hostileText, "err", errors.New(hostileText))
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable from %q on", out.String()[i:])
	}
	var read map[string]any
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
		if err := json.Unmarshal(out.Bytes(), &read); err != nil || read[0] != strings.ToValidUTF8(text, "\uFFFD") &&
			len(read[0]) < len(text) {
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

// TestTerminal_isToldNothingByTheAPI lets the API say hostile things wherever it can, and looks at what each command
// prints.
func TestTerminal_isToldNothingByTheAPI(t *testing.T) {
	t.Parallel()
	db := storetest.Empty(t)
	p := newProgram(t, db.URL)
	for i := range 2 {
		p.api.AddCustomer(partnercentertest.Customer{ID: customerID(i + 1), CompanyName: "Contoso " + hostileText,
			Domain: hostileText})
	}
	p.api.PutBatch(customerID(1), partnercentertest.Batch{ID: hostileText, Status: hostileText})
	refused := partnercentertest.Fault{Path: customerID(2) + "/deviceBatches", Status: 403, Code: "c" + hostileText,
		Description: hostileText}
	p.api.Fail(refused)
	shown := 0
	try := func(code int, args ...string) {
		t.Helper()
		out, errs := p.exits(code, args...)
		if strings.Contains(out, "Contoso") || strings.Contains(out, "red") {
			shown++
		}
		for _, line := range strings.Split(errs, "\n") {
			if !strings.HasPrefix(line, "{") { // the log's text form, which terminals are shown, quotes such things
				out += line
			}
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("partnersync %s: %q is printed", strings.Join(args, " "), out[i:min(len(out), i+40)])
		}
	}
	try(3, "--dry-run", "--once")
	try(3, "--once")
	p.api.PutBatch(customerID(1), partnercentertest.Batch{ID: hostileText, Status: "other " + hostileText})
	try(3, "--dry-run", "--once")
	try(3, "--once", "--json")
	try(0, "status")
	try(0, "status", "--json")
	p.api.Fail(partnercentertest.Fault{Path: "/customers$", Status: 403, Code: "c", Description: hostileText})
	try(1, "check")
	try(1, "check", "--json")
	try(3, "--once")
	if shown < 8 {
		t.Errorf("%d commands have printed what the API said, want 8 or more", shown)
	}
}
