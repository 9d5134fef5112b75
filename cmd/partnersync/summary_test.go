package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/report"
)

func TestPrintFailing_namesTheFirstTen(t *testing.T) {
	t.Parallel()
	failing := make([]report.Customer, 13)
	for i := range failing {
		failing[i] = report.Customer{CustomerID: customerID(i), LastError: new("GET https://host/: 503")}
	}
	var out bytes.Buffer
	printFailing(&out, failing, false)
	if n := strings.Count(out.String(), "failing: "); n != mostFailing {
		t.Errorf("%d customers are named", n)
	}
}

func TestPrintFailure_saysEachThingOnce(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := customerID(2)
	f := report.Customer{
		CustomerID: id, CompanyName: new("Contoso\x1b[2J 2"), FailingSince: &since, LastErrorCode: new("20002"),
		LastError: new("listing device batches of customer " + id +
			": GET https://host/x: 403 Forbidden: 20002 No \u202erelationship (request r-1): accept it again"),
		LastRequestID: new("r-1"), LastCorrelationID: new("c-1"),
	}
	var out bytes.Buffer
	printFailure(&out, f, false)
	want := "failing: " + id + " Contoso\ufffd[2J 2, since 2026-03-01T12:00:00Z\n" +
		"  listing device batches: GET https://host/x: 403 Forbidden: 20002 No \ufffdrelationship: accept it again\n" +
		"  quote to support: request id r-1, correlation id c-1\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	out.Reset()
	printFailure(&out, report.Customer{CustomerID: id, LastErrorCode: new("mass_removal_held"),
		LastError: new("a complete listing lacks 3")}, true)
	want = "\x1b[31mfailing:\x1b[0m " + id + "\n  mass_removal_held: a complete listing lacks 3\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPrintRun_interruptedTellsWhatIsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printRun(&out, store.Run{Partner: "contoso", State: store.Abandoned, CustomersTotal: 6, Inserted: 4}, false)
	for _, want := range []string{"contoso: abandoned, 0 of 6 customers ok, 0 failed, 6 unfinished\n",
		"  rows: 4 inserted,", "stopped early: these rows are written and stay"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in %q", want, out.String())
		}
	}
	out.Reset()
	printRun(&out, store.Run{Partner: "contoso", State: store.Complete, CustomersTotal: 2, CustomersOK: 2,
		Error: new("two\x1b\nlines")}, true)
	if got := out.String(); !strings.HasPrefix(got,
		"contoso: \x1b[32mcomplete\x1b[0m, 2 of 2 customers ok, 0 failed\n") ||
		!strings.HasSuffix(got, "  error: two\ufffd lines\n") {
		t.Errorf("got %q", got)
	}
}
