package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"partnersync/store"
)

// summary is what --json prints of a pass.
type summary struct {
	Runs     []store.Run       `json:"runs"`
	Failing  []store.Freshness `json:"failing_customers"`
	ExitCode int               `json:"exit_code"`
}

// mostFailing is how many failing customers a summary for people names.
const mostFailing = 10

// summarize prints how the runs ended, and which customers fail.
func (a *app) summarize(ctx context.Context, s *store.Store, runs []store.Run, code int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	all := summary{Runs: runs, Failing: []store.Freshness{}, ExitCode: code}
	var failure error
	for _, run := range runs {
		if run.CustomersFailed == 0 {
			continue
		}
		failing, err := s.FailingCustomers(ctx, run.Partner)
		if err != nil {
			failure = err
		}
		all.Failing = append(all.Failing, failing...)
	}
	if a.flags.json {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(all); err != nil {
			return err
		}
		return failure
	}
	for _, run := range runs {
		printRun(a.stdout, run)
	}
	printFailing(a.stdout, all.Failing)
	return failure
}

func printRun(out io.Writer, run store.Run) {
	fmt.Fprintf(out, "%s: %s, %d of %d customers ok, %d failed", run.Partner, run.State, run.CustomersOK, run.CustomersTotal, run.CustomersFailed)
	if run.FinishedAt != nil {
		fmt.Fprintf(out, ", in %s", run.FinishedAt.Sub(run.StartedAt).Round(10*time.Millisecond))
	}
	fmt.Fprintf(out, "\n  rows: %d inserted, %d changed, %d removed, %d unchanged; requests: %d, of which %d retries\n",
		run.Inserted, run.Changed, run.Removed, run.Unchanged, run.Requests, run.Retries)
	if run.Error != nil {
		fmt.Fprintf(out, "  error: %s\n", oneLine(*run.Error))
	}
}

func printFailing(out io.Writer, failing []store.Freshness) {
	for i, f := range failing {
		if i == mostFailing {
			fmt.Fprintf(out, "and %d more customers that fail: see partner_center.sync_freshness\n", len(failing)-mostFailing)
			break
		}
		fmt.Fprint(out, "failing: ", f.CustomerID)
		if f.CompanyName != nil {
			fmt.Fprint(out, " ", oneLine(*f.CompanyName))
		}
		if f.FailingSince != nil {
			fmt.Fprintf(out, " since %s", f.FailingSince.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(out, "\n  %s: %s\n", oneLine(orEmpty(f.LastErrorCode)), oneLine(orEmpty(f.LastError)))
	}
}

// oneLine makes text from outside harmless on a terminal: no line breaks, no control sequences.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
