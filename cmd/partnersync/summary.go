package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/store/report"
	"partnersync/store/sanitize"
)

// summary is what --json prints of a pass.
type summary struct {
	Runs     []store.Run       `json:"runs"`
	Failing  []report.Customer `json:"failing_customers"`
	ExitCode int               `json:"exit_code"`
}

// mostFailing is how many failing customers a summary for people names at most.
const mostFailing = 10

// summarize prints how the runs ended, and which customers fail.
func (a *app) summarize(ctx context.Context, db *database, runs []store.Run, code int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	all := summary{Runs: runs, Failing: []report.Customer{}, ExitCode: code}
	reader, failure := report.NewReader(ctx, db.Pool)
	if failure != nil {
		return failure
	}
	defer reader.Close()
	for _, run := range runs {
		if run.CustomersFailed == 0 {
			continue
		}
		search := report.CustomerSearch{Partners: []string{run.Partner}, Show: report.Failing, Order: report.ByFailure}
		failing, err := reader.Customers(ctx, search)
		if err != nil {
			failure = err
		}
		all.Failing = append(all.Failing, failing...)
	}
	if a.flags.json {
		return errors.Join(printJSON(a.stdout, all), failure)
	}
	colours := a.palette(a.stdout)
	for _, run := range runs {
		printRun(a.stdout, run, colours)
	}
	printFailing(a.stdout, all.Failing, colours)
	if more := len(all.Failing) - mostFailing; more > 0 {
		fmt.Fprintf(a.stdout, "and %d more %s: partnersync status --limit 0\n", more,
			plural.Word(more, "customer that fails", "customers that fail"))
	}
	return failure
}

// customersOf says how many of a run's customers are ok, and how many were deferred.
func customersOf(run store.Run) string {
	if run.CustomersDeferred > 0 {
		return fmt.Sprintf("%d of %d, %d deferred", run.CustomersOK, run.CustomersTotal, run.CustomersDeferred)
	}
	return fmt.Sprintf("%d of %d", run.CustomersOK, run.CustomersTotal)
}

func printRun(out io.Writer, run store.Run, colours palette) {
	fmt.Fprintf(out, "%s: %s, %d of %s ok, %d failed", run.Partner, colours.state(run.State), run.CustomersOK,
		plural.Of(run.CustomersTotal, "customer", "customers"), run.CustomersFailed)
	if left := run.CustomersTotal - run.CustomersOK - run.CustomersFailed; left > 0 {
		fmt.Fprintf(out, ", %d unfinished", left)
	}
	if run.FinishedAt != nil {
		fmt.Fprintf(out, ", in %s", run.FinishedAt.Sub(run.StartedAt).Round(10*time.Millisecond))
	}
	fmt.Fprintf(out, "\n  rows: %d inserted, %d changed, %d removed, %d unchanged; requests: %d, of which %s\n",
		run.Inserted, run.Changed, run.Removed, run.Unchanged, run.Requests, plural.Of(run.Retries, "retry", "retries"))
	if run.State == store.Abandoned && run.Inserted+run.Changed+run.Removed > 0 {
		fmt.Fprintln(out, "  stopped early: these rows are written and stay; "+
			"the next pass reads the unfinished customers again")
	}
	if run.Error != nil {
		fmt.Fprintf(out, "  error: %s\n", sanitize.Line(*run.Error))
	}
}

// state is the state of a run in its colour.
func (p palette) state(state string) string {
	switch state {
	case store.Complete:
		return p.green(state)
	case store.Failed:
		return p.red(state)
	case store.Partial, store.Abandoned:
		return p.yellow(state)
	}
	return state
}

// printFailing names the first customers that fail: who, since when, why, and what to quote to Microsoft's support.
func printFailing(out io.Writer, failing []report.Customer, colours palette) {
	for _, f := range failing[:min(len(failing), mostFailing)] {
		printFailure(out, f, colours)
	}
}

func printFailure(out io.Writer, f report.Customer, colours palette) {
	fmt.Fprintf(out, "%s %s", colours.red("failing:"), f.CustomerID)
	if f.CompanyName != nil {
		fmt.Fprint(out, " ", sanitize.Line(*f.CompanyName))
	}
	if f.FailingSince != nil {
		fmt.Fprintf(out, ", since %s", f.FailingSince.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(out, "\n  %s\n", reason(f))
	var quote []string
	if id := orEmpty(f.LastRequestID); id != "" {
		quote = append(quote, "request id "+sanitize.Line(id))
	}
	if id := orEmpty(f.LastCorrelationID); id != "" {
		quote = append(quote, "correlation id "+sanitize.Line(id))
	}
	if quote != nil {
		fmt.Fprintf(out, "  quote to support: %s\n", strings.Join(quote, ", "))
	}
}

// reason is why a customer fails, without saying twice who it is, what the code, and what the request id.
func reason(f report.Customer) string {
	text := strings.ReplaceAll(sanitize.Line(orEmpty(f.LastError)), " of customer "+f.CustomerID, "")
	if id := orEmpty(f.LastRequestID); id != "" {
		text = strings.ReplaceAll(text, " (request "+id+")", "")
	}
	code := sanitize.Line(orEmpty(f.LastErrorCode))
	if code == "" || strings.Contains(text, code) || strings.HasPrefix(code, "http_") {
		return text
	}
	return code + ": " + text
}
