package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// program runs the built program in a world. Scripts do that in fewer words; this is for tests that do things to the
// database's server meanwhile.
type program struct {
	*world
	direct string // the database's URL for the test's own questions; DATABASE_URL may lead through a pooler
}

func newProgram(t *testing.T, databaseURL string) *program {
	t.Helper()
	p := &program{newWorld(t, databaseURL, "", partnercentertest.Options{}), databaseURL}
	p.addConfig("schedule: \"@every 1s\"\nlease: 5s\n")
	return p
}

// build builds the program in dir.
func build(t testing.TB, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "partnersync")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program,
		".").CombinedOutput()
	if err != nil {
		t.Fatalf("building the program: %v\n%s", err, output)
	}
	return program
}

// addConfig adds lines to the configuration.
func (p *program) addConfig(lines string) {
	p.t.Helper()
	text, err := os.ReadFile(p.config)
	if err == nil {
		err = os.WriteFile(p.config, append(text, lines...), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), "partnersync", append(args, "--config", p.config)...)
	cmd.Env = p.env.list()
	return cmd
}

// exits runs the program to its end, which must have the code, and returns what it printed.
func (p *program) exits(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	cmd := p.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatal(err)
	} else if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("partnersync %s: exit code %d (%v), want %d\n%s%s", strings.Join(args, " "), got, e, code, &out,
			&errs)
	}
	return out.String(), errs.String()
}

// daemon is one that runs.
type daemon struct {
	t   *testing.T
	cmd *exec.Cmd
	log string // file
}

// daemon starts one, with further variables in its environment. It ends with the test at the latest.
func (p *program) daemon(name string, env ...string) *daemon {
	p.t.Helper()
	d := &daemon{t: p.t, cmd: p.command(), log: filepath.Join(p.dir, name+".log")}
	d.cmd.Env = append(d.cmd.Env, env...)
	log, err := os.Create(d.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	d.cmd.Stderr = log
	if err := d.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if d.cmd.ProcessState == nil { // the context has killed it, or will at once
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
		if p.t.Failed() {
			p.t.Logf("log of daemon %s:\n%s", name, d.text())
		}
	})
	return d
}

func (d *daemon) text() string {
	d.t.Helper()
	text, err := os.ReadFile(d.log)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// logged waits until the log has n lines with the text, or more.
func (d *daemon) logged(n int, text string) {
	d.t.Helper()
	storetest.Eventually(d.t, func() (string, bool) {
		log := d.text()
		return fmt.Sprintf("%d lines of %s", strings.Count(log, text), text), strings.Count(log, text) >= n
	})
}

// wantLines checks how many lines of the log have the text.
func (d *daemon) wantLines(n int, text string) {
	d.t.Helper()
	if got := strings.Count(d.text(), text); got != n {
		d.t.Errorf("%d lines of %s, want %d", got, text, n)
	}
}

// stop ends the daemon as an operator would.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Error(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("the daemon ended with %v, want exit code 0", err)
	}
}

// query returns the rows of a query's result with ; between them and | between the columns.
func (p *program) query(sql string, args ...any) (string, error) {
	config, err := pgx.ParseConfig(p.direct)
	if err != nil {
		return "", err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(p.t.Context(), config)
	if err != nil {
		return "", err
	}
	defer conn.Close(p.t.Context())
	rows, _ := conn.Query(p.t.Context(), sql, args...) // CollectRows returns its error
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		return string(bytes.Join(row.RawValues(), []byte("|"))), nil
	})
	return strings.Join(lines, "; "), err
}

func (p *program) sql(sql string) {
	p.t.Helper()
	if _, err := p.query(sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

func (p *program) want(want, sql string) {
	p.t.Helper()
	if got, err := p.query(sql); err != nil || got != want {
		p.t.Errorf("%s: got %s (%v), want %s", sql, got, err, want)
	}
}

// until waits until the query has the result. Errors count as another one.
func (p *program) until(want, sql string) {
	p.t.Helper()
	storetest.Eventually(p.t, func() (string, bool) {
		got, err := p.query(sql)
		return fmt.Sprintf("%s: %s (%v), not %s", sql, got, err, want), err == nil && got == want
	})
}
