package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// customerID returns the id of a script's n-th customer.
func customerID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// apiCommand changes what the emulated API has:
//
//	api customers N                    customers 1 to N are there, Contoso 1 to Contoso N
//	api batch CUSTOMER ID STATUS       a batch is there, in that status
//	api removes CUSTOMER ID            a batch is there no more
//	api fails PATH STATUS [CODE]       requests whose path matches are answered so
//	api hangs PATH [SKIP]              requests whose path matches get no answer, but for the first SKIP
//	api asked PATH                     waits for a request whose path has this in it
//	api recovers                       no request goes wrong any more
func apiCommand(ts *testscript.TestScript, _ bool, args []string) {
	api := worldOf(ts).api
	args = append(args, "", "", "", "")
	switch args[0] {
	case "customers":
		for i := range number(ts, args[1]) {
			api.AddCustomer(partnercentertest.Customer{ID: customerID(i + 1), CompanyName: fmt.Sprint("Contoso ", i+1)})
		}
	case "batch":
		api.PutBatch(customerID(number(ts, args[1])), partnercentertest.Batch{ID: args[2], Status: args[3],
			DevicesCount: 5})
	case "removes":
		api.RemoveBatch(customerID(number(ts, args[1])), args[2])
	case "fails":
		api.Fail(partnercentertest.Fault{Path: args[1], Status: number(ts, args[2]), Code: args[3]})
	case "hangs":
		api.Fail(partnercentertest.Fault{Path: args[1], Hang: true, Skip: number(ts, cmp.Or(args[2], "0"))})
	case "asked":
		storetest.Eventually(ts, func() (got string, ok bool) {
			requests := api.Requests()
			asked := func(r partnercentertest.Request) bool { return strings.Contains(r.Path, args[1]) }
			return fmt.Sprint(len(requests), " other requests"), slices.ContainsFunc(requests, asked)
		})
	case "recovers":
		api.ClearFaults()
	default:
		ts.Fatalf("unknown: api %s", args[0])
	}
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

// exitsCommand runs a program that must exit with the code: exits CODE PROGRAM [ARGUMENT…]
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		code = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != number(ts, args[0]) {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// terminateCommand sends SIGTERM to what runs in the background.
func terminateCommand(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// hangupCommand sends the background programs a SIGHUP.
func hangupCommand(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// sqlCommand runs a query on the script's database: sql QUERY [WANT]. WANT is its result, as query returns it.
func sqlCommand(ts *testscript.TestScript, _ bool, args []string) {
	got, err := query(ts, args[0])
	ts.Check(err)
	if len(args) > 1 && got != args[1] {
		ts.Fatalf("got  %s\nwant %s", got, args[1])
	}
}

// untilCommand waits until a query gives the result: until QUERY WANT. Errors count as another result: the tables may
// be still to come.
func untilCommand(ts *testscript.TestScript, _ bool, args []string) {
	storetest.Eventually(ts, func() (got string, ok bool) {
		got, err := query(ts, args[0])
		if err != nil {
			return err.Error(), false
		}
		return got, got == args[1]
	})
}

// loggedCommand waits until a file has a text: logged FILE TEXT.
func loggedCommand(ts *testscript.TestScript, _ bool, args []string) {
	storetest.Eventually(ts, func() (got string, ok bool) {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return string(data), err == nil && strings.Contains(string(data), args[1])
	})
}

// query returns the rows of a query's result with ; between them and | between the columns.
func query(ts *testscript.TestScript, sql string) (string, error) {
	w := worldOf(ts)
	rows, _ := w.pool.Query(w.t.Context(), sql, pgx.QueryExecModeSimpleProtocol) // CollectRows returns its error
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var columns []string
		for _, value := range row.RawValues() {
			columns = append(columns, string(value))
		}
		return strings.Join(columns, "|"), nil
	})
	return strings.Join(lines, "; "), err
}
