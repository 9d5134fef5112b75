package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"partnersync/store"
)

func TestOneLine_isHarmlessOnATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Büro "Köln" \ 東京`:       `Büro "Köln" \ 東京`,
		"two\nlines\r\n":         "two lines  ",
		"\x1b[31mred\x07":        " [31mred ",
		"right\u202eto left":     "right to left",
		"invalid \xff, nul \x00": "invalid \uFFFD, nul  ",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestPrintFailing_namesTheFirstTenAndCountsTheRest(t *testing.T) {
	t.Parallel()
	failing := make([]store.Freshness, 13)
	for i := range failing {
		name, code, message := fmt.Sprint("Contoso ", i), "http_503", "GET https://host/: 503"
		failing[i] = store.Freshness{CustomerID: customerID(i), CompanyName: &name, LastErrorCode: &code, LastError: &message}
	}
	var out bytes.Buffer
	printFailing(&out, failing)
	if n := strings.Count(out.String(), "failing: "); n != mostFailing {
		t.Errorf("%d customers are named", n)
	}
	if want := "and 3 more customers that fail: see partner_center.sync_freshness\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q in the end, want %q", out.String(), want)
	}
}
