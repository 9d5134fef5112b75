package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// watchedDemo is a demo whose output is read line by line. It stands still until the next line is read.
type watchedDemo struct {
	t     *testing.T
	lines *bufio.Scanner
	read  strings.Builder
}

func newWatchedDemo(t *testing.T, args ...string) *watchedDemo {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, printed := io.Pipe()
	exit := make(chan int, 1)
	var said strings.Builder
	go func() {
		exit <- run(ctx, append([]string{"demo"}, args...), os.LookupEnv, nil, printed, &said)
		printed.Close()
	}()
	t.Cleanup(func() {
		cancel()
		_, _ = io.Copy(io.Discard, stdout)
		if code := <-exit; code != exitOK || said.Len() > 0 {
			t.Errorf("exit code %d: %s", code, &said)
		}
	})
	return &watchedDemo{t: t, lines: bufio.NewScanner(stdout)}
}

// until reads up to the line that the pattern matches, and returns its last group.
func (d *watchedDemo) until(pattern string) string {
	d.t.Helper()
	want := regexp.MustCompile(pattern)
	for d.lines.Scan() {
		d.read.WriteString(d.lines.Text() + "\n")
		if found := want.FindStringSubmatch(d.lines.Text()); found != nil {
			return found[len(found)-1]
		}
	}
	d.t.Fatalf("no line matches %s:\n%s", pattern, &d.read)
	return ""
}

func TestDemo_pageFollowsWhatHappens(t *testing.T) {
	t.Parallel()
	// While it stands still, its customers become stale: after three ticks.
	d := newWatchedDemo(t, "--interval", "5s")
	page := d.until(`^The status page is at (http://.*/)$`)
	for _, at := range []struct{ pass, shows string }{
		{"1", "All is well: 3 customers are up to date"},
		{"2", `Sales tablets 2026</bdi>.*>queued</span><span class="arrow"> to </span>.*>processing</span>`},
		{"5", "(?s)Not all is well.*1 of 3 customers of partner demo is failing.*Northwind Toys.*20002.*403 Forbidden" +
			".*no commerce relationship.*Request id"},
		{"7", `Sales tablets 2026</bdi>.*>processing</span><span class="arrow"> to </span>.*>finished</span>`},
		{"8", "All is well: 3 customers are up to date"},
	} {
		d.until("^pass " + at.pass + " at ")
		eventuallyServes(t, page, "200", at.shows)
	}
}

// TestDemo_isTrueToLife asks the demo's database what a curious reader would.
func TestDemo_isTrueToLife(t *testing.T) {
	t.Parallel()
	d := newWatchedDemo(t, "--interval", "1s")
	url := d.until(`^  \S*psql '(.*)'$`)
	d.until("^pass 21 at .*: complete") // the failure does not come back
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	count := func(query string) (rows int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM ("+query+") answer").Scan(&rows); err != nil {
			t.Fatalf("%v in %s", err, query)
		}
		return rows
	}
	for never, query := range map[string]string{
		"finished before it was created": `SELECT FROM partner_center.device_batch_history WHERE partner_center.is_finished(status) AND creation_date > valid_from`,
		"created in the future":          `SELECT FROM partner_center.device_batches WHERE creation_date > valid_from`,
		"without the devices it says":    cookbookFile(t, "batches_that_lack_devices.sql"),
	} {
		if n := count(query); n > 0 {
			t.Errorf("%d times a batch is %s", n, never)
		}
	}
	if count("SELECT FROM partner_center.device_batch_rounds WHERE finished_by IS NOT NULL") < 5 {
		t.Error("hardly a batch is finished")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, life, _ := strings.Cut(string(readme), "What is the life of one batch?\n\n```sql\n")
	life, _, _ = strings.Cut(life, ";\n```")
	for name, query := range map[string]string{
		"README.md's batch": life, "life_of_a_device.sql": cookbookFile(t, "life_of_a_device.sql"),
	} {
		if count(query) < 2 {
			t.Errorf("%s has no life here", name)
		}
	}
}

// cookbookFile returns a query of deploy/queries.
func cookbookFile(t *testing.T, name string) string {
	t.Helper()
	query, err := os.ReadFile(filepath.Join("../../deploy/queries", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimSpace(string(query)), ";")
}
