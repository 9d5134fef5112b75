package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"partnersync/store/storetest"
)

// listeningAt finds the address in a daemon's log, or in what the demo prints.
var listeningAt = regexp.MustCompile(`(?:"msg":"listening","address":"|The status page is at http://)([^"/]+)["/]`)

// pageCommand waits until the daemon that logs to the file answers a path with the status and a match of a regular
// expression: page LOG PATH STATUS EXPRESSION.
func pageCommand(ts *testscript.TestScript, _ bool, args []string) {
	log, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at := listeningAt.FindSubmatch(log)
	if at == nil {
		ts.Fatalf("%s does not say where the daemon listens", args[0])
	}
	eventuallyServes(ts, "http://"+string(at[1])+args[1], args[2], args[3])
}

// eventuallyServes waits until the address answers with a status code and what a pattern matches.
func eventuallyServes(t interface{ Fatalf(string, ...any) }, url, code, pattern string) {
	want := regexp.MustCompile(pattern)
	storetest.Eventually(t, func() (got string, ok bool) {
		resp, err := http.Get(url)
		if err != nil {
			return err.Error(), false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		got = resp.Status + " " + string(body)
		return got, err == nil && strconv.Itoa(resp.StatusCode) == code && want.MatchString(got)
	})
}
