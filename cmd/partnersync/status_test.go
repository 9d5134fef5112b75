package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/report"
)

// statusOfTwo is a status with one customer that fails and one that does not.
func statusOfTwo() statusReport {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { return new(at.Add(-d)) }
	return statusReport{
		At: at,
		Findings: []report.Finding{
			{Severity: report.Stopped, Text: "The pass of partner contoso is overdue.",
				Action: "See in the log whether a daemon runs."},
			{Severity: report.Degraded, Text: "The last pass of partner contoso failed.", Reason: "403 Forbidden\x1b]0;owned",
				Action: "Check it."},
		},
		Partners: []report.PartnerFreshness{{Partner: "contoso", Customers: 12, Failing: 3}},
		Failing: []report.Customer{{
			CustomerID: customerID(1), Partner: "contoso", CompanyName: new("Contoso\x1b]0;owned\x07 1"),
			FailingSince:  before(time.Hour),
			LastErrorCode: new("20002"), LastError: new("403 Forbidden: 20002"), LastRequestID: new("r-1"),
			LastCorrelationID: new("c-1"),
		}},
		Others: []report.Customer{
			{CustomerID: customerID(2), Partner: "contoso"},
			{CustomerID: customerID(3), Partner: "contoso", CompanyName: new("Fabrikam"),
				LastSuccessAt: before(3 * time.Minute)},
		},
		Runs: []store.Run{{ID: 7, Partner: "contoso", Kind: store.Once, State: store.Partial,
			StartedAt: *before(2 * time.Second), FinishedAt: &at, CustomersTotal: 12, CustomersOK: 9, Inserted: 4}},
	}
}

func TestPrintStatus_findingsThenFailingThenFreshnessThenRuns(t *testing.T) {
	t.Parallel()
	s := statusOfTwo()
	var out bytes.Buffer
	printStatus(&out, s, false)
	want := `stopped: The pass of partner contoso is overdue.
  See in the log whether a daemon runs.
degraded: The last pass of partner contoso failed.
  403 Forbidden�]0;owned
  Check it.
failing: 00000000-0000-4000-8000-000000000001 Contoso�]0;owned� 1, since 2026-03-01T11:00:00Z
  403 Forbidden: 20002
  quote to support: request id r-1, correlation id c-1
and 2 more that fail: --limit 0 shows all

  partner  customer                              name      last synced  at
  contoso  00000000-0000-4000-8000-000000000002            never        -
  contoso  00000000-0000-4000-8000-000000000003  Fabrikam  3 min ago    ` + moment(s.Others[1].LastSuccessAt) + `
  and 7 more: --limit 0 shows all

  run  partner  kind  began                took  state    customers ok  new  changed  removed  error
  7    contoso  once  ` + moment(&s.Runs[0].StartedAt) + `  2s    partial  9 of 12       4    0        0
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	out.Reset()
	printStatus(&out, s, true)
	for _, want := range []string{
		"\x1b[31mstopped:\x1b[0m The pass of partner contoso is overdue.\n", "\x1b[33mdegraded:\x1b[0m The last",
		"  2s    \x1b[33mpartial\x1b[0m  9 of 12",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("with colours there is no %q in %q", want, out.String())
		}
	}
}

func TestPrintStatus_nothingIsWrong(t *testing.T) {
	t.Parallel()
	for want, partners := range map[string][]report.PartnerFreshness{
		"no customers yet\n":                          nil,
		"all 5 customers are ok\n":                    {{Customers: 2}, {Customers: 3}},
		"2 of 5 customers have not been synced yet\n": {{Customers: 5, NeverSynced: 2}},
		"1 of 1 customer has not been synced yet\n":   {{Customers: 1, NeverSynced: 1}},
		"the only customer is ok\n":                   {{Customers: 1}},
		"all 5 customers are ok\npartner old has left the configuration: 2 customers of it stay as before\n": {
			{Partner: "contoso", Customers: 5}, {Partner: "old", Customers: 2, Failing: 2, NeverSynced: 1, Dropped: true},
		},
	} {
		var out bytes.Buffer
		printStatus(&out, statusReport{Partners: partners}, false)
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
}

func TestPrintStatus_saysWhatAnalystsDoNotSee(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printStatus(&out, statusReport{onlyAnalyst: true}, false)
	if want := "no customers yet\nwith the rights of an analyst: "; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestWatchStatus_showsAnewUntilTheEndAndOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*watchEvery/2)
		defer stop()
		var out bytes.Buffer
		times := 0
		read := func(context.Context) (statusReport, error) {
			if times++; times == 2 {
				return statusReport{}, errors.New("gone\x1b[2J")
			}
			return statusReport{}, nil
		}
		show := func(out io.Writer, _ statusReport) { fmt.Fprintf(out, "page %d\n", times) }
		if err := watchStatus(ctx, &out, func() int { return 24 }, read, show); err != nil {
			t.Fatal(err)
		}
		screens := strings.Split(out.String(), home)
		if !strings.HasPrefix(out.String(), cutLines) || !strings.HasSuffix(out.String(), wrapLines) {
			t.Errorf("lines are wrapped meanwhile, or cut off for ever: %q", out.String())
		}
		if len(screens) != 5 || screens[2] != "page 1"+clearLine+"\n"+clearBelow ||
			!strings.Contains(screens[3], "no status: gone\uFFFD[2J") || !strings.HasPrefix(screens[4], "page 3") {
			t.Errorf("got %q", screens)
		}
	})
}

// A terminal of 80 by 24 shows who fails, however much there is to say.
func TestPrintBriefStatus_whoFailsComesFirst(t *testing.T) {
	t.Parallel()
	s := statusReport{At: time.Now()}
	for i := range 3 {
		s.Findings = append(s.Findings, report.Finding{
			Severity: report.Degraded, Text: fmt.Sprint("finding ", i), Reason: "why", Action: "what to do",
		})
	}
	for i := range 10 {
		s.Failing = append(s.Failing, report.Customer{
			CustomerID: fmt.Sprint("00000000-0000-4000-8000-00000000000", i), CompanyName: new(fmt.Sprint("Contoso ", i)),
			FailingSince: new(time.Now()), LastError: new(strings.Repeat("GET https://api.example.com/ ", 20)),
			LastRequestID: new("r"),
		})
		s.Others = append(s.Others, report.Customer{Partner: "contoso", CustomerID: fmt.Sprint("other ", i)})
		s.Runs = append(s.Runs, store.Run{ID: int64(i)})
	}
	var out bytes.Buffer
	printBriefStatus(&out, s, false)
	shown := firstLines(out.String(), 23)
	for i := range s.Failing {
		if !strings.Contains(shown, fmt.Sprintf("\nfailing: Contoso %d, since ", i)) {
			t.Errorf("customer %d is not on the screen:\n%s", i, shown)
		}
	}
	if strings.Count(shown, "\n") != 23 || !strings.HasSuffix(shown, " more lines: partnersync status\n") {
		t.Errorf("%d lines:\n%s", strings.Count(shown, "\n"), shown)
	}
	if got := firstLines("a\nb\n", 2); got != "a\nb\n" {
		t.Errorf("what fits becomes %q", got)
	}
}
