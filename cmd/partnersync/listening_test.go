package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	want := regexp.MustCompile(args[3])
	storetest.Eventually(ts, func() (got string, ok bool) {
		resp, err := http.Get("http://" + string(at[1]) + args[1])
		if err != nil {
			return err.Error(), false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		got = resp.Status + " " + string(body)
		return got, err == nil && strconv.Itoa(resp.StatusCode) == args[2] && want.MatchString(got)
	})
}

func TestStatusPagePassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, file, want, mistake, warning string
	}{
		{"a line", write("line", "hush-page \n", 0o600), "hush-page ", "", ""},
		{"readable by others", write("open", "hush-page", 0o644), "hush-page", "", "can be read by every user of this machine"},
		{"empty", write("empty", " \n", 0o600), "", "holds no password", ""},
		{"two lines", write("two", "hush-page\nhush\n", 0o600), "", "holds more than one line", ""},
		{"none", filepath.Join(dir, "none"), "", "cannot be read", ""},
	} {
		path := write("partnersync.yaml", minimal+"database_url: local\nstatus_page_password_file: "+c.file+"\ncustomer_metrics: true\n", 0o600)
		config, err := loadConfig(path, byFlag, func(string) (string, bool) { return "", false })
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: error %v, want %s", c.name, err, c.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, config.StatusPagePassword.Reveal()); diff != "" || !config.CustomerMetrics {
			t.Errorf("%s: customer_metrics %v (-want +got)\n%s", c.name, config.CustomerMetrics, diff)
		}
		if warnings := strings.Join(config.Warnings, "\n"); !strings.Contains(warnings, c.warning) || c.warning == "" && warnings != "" {
			t.Errorf("%s: warnings %q, want %q", c.name, warnings, c.warning)
		}
	}
}
