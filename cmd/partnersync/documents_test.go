//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// A block of commands in README.md or deploy/*.md has comments before it, which say what becomes of it here:
//
//	<!-- run: WHERE -->                     where and as whom its commands are run, in their order
//	<!-- until: COMMAND: TEXT -->           a command that goes on for ever is stopped when it has printed the text
//	<!-- not run: COMMAND: REASON -->       a command is not run, and why
//
// COMMAND is one of the block's, without the comment at its end, or the beginning of one and …

// Where commands are run. A machine is Debian's, with systemd, and the one who runs them may use sudo.
const (
	inRepository     = "in the repository"
	configured       = "in the repository, with that configuration" // of the same document
	besideConfig     = "beside a configuration"
	onMachine        = "on a machine"
	onMachineFiles   = "on a machine, with such files" // as the text before is about
	onMachineForUser = "on a machine, with a user"     // in whose name partnersync reads
)

// block is a block of commands in a document.
type block struct {
	document, language string
	line               int
	where              string
	commands           []string
	until, notRun      map[string]string // by command
}

var (
	marking       = regexp.MustCompile(`^<!-- (run|until|not run): (.*) -->$`)
	endingComment = regexp.MustCompile(`\s+#.*$`)
	// aCommand is how a line begins that looks like a command of somebody's.
	aCommand = regexp.MustCompile(
		`^(    )+(\$ |(sudo|partnersync|docker|kubectl|go|openssl|psql|cat|install) |deploy/\w)`)
)

// documents returns the paths of the documents that are for people who run commands.
func documents(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../../deploy/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatal(paths, err)
	}
	return append([]string{"../../README.md"}, paths...)
}

// readDocument returns the blocks of commands in a document. Whatever it cannot make out fails the test.
func readDocument(t *testing.T, path string) (blocks []*block) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var marks [][]string // of the block to come
	var b *block         // that is being read
	other := false       // within a block of another language
	for i, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && (b != nil || other):
			b, other = nil, false
		case isFence && (fence == "sh" || fence == "crontab"):
			b = &block{document: filepath.Base(path), language: fence, line: i + 1,
				until: map[string]string{}, notRun: map[string]string{}}
			blocks = append(blocks, b)
			for _, m := range marks {
				b.mark(t, at, m[1], m[2])
			}
		case isFence && fence == "":
			t.Errorf("%s: a block without a language: if it is of commands, that is sh", at)
			other = true
		case isFence:
			other = true
		case b != nil:
			b.add(line)
			continue
		case !other && aCommand.MatchString(line):
			t.Errorf("%s: a command in no block of sh: %s", at, line)
		}
		if m := marking.FindStringSubmatch(line); m != nil {
			marks = append(marks, m)
		} else {
			marks = nil
		}
	}
	return blocks
}

// mark notes what a comment before the block says.
func (b *block) mark(t *testing.T, at, kind, text string) {
	t.Helper()
	if kind == "run" {
		b.where = text
		return
	}
	command, rest, ok := strings.Cut(text, ": ")
	if !ok || strings.TrimSpace(rest) == "" {
		t.Errorf("%s: %s: a command and, after a colon, the text or reason are missing: %s", at, kind, text)
	}
	marks := map[string]map[string]string{"until": b.until, "not run": b.notRun}[kind]
	marks[strings.TrimSpace(command)] = rest
}

// add adds a line of the block to its commands.
func (b *block) add(line string) {
	last := len(b.commands) - 1
	switch trimmed := strings.TrimSpace(line); {
	case last >= 0 && strings.HasSuffix(b.commands[last], "\\"):
		b.commands[last] += "\n" + line
	case trimmed != "" && !strings.HasPrefix(trimmed, "#"):
		b.commands = append(b.commands, line)
	}
}

// find returns what the marks say of the command, and which of them it is.
func find(marks map[string]string, command string) (text, mark string) {
	command = endingComment.ReplaceAllString(command, "")
	for mark, text := range marks {
		beginning, open := strings.CutSuffix(mark, "…")
		if command == mark || open && strings.HasPrefix(command, beginning) {
			return text, mark
		}
	}
	return "", ""
}

// script returns the commands that are run, as a script of bash's in which each reads the input that is given, and what
// goes on for ever is stopped.
func (b *block) script(input string) string {
	var s strings.Builder
	s.WriteString("set -euo pipefail\n")
	for _, command := range b.commands {
		if reason, _ := find(b.notRun, command); reason != "" {
			continue
		}
		text, _ := find(b.until, command)
		fmt.Fprintf(&s, "printf '%%s\\n' %s >&2\n", quoted("+ "+command))
		if b.language == "crontab" {
			fields := strings.Fields(command)
			line := strings.TrimSpace(command[strings.Index(command, fields[5])+len(fields[5]):])
			command = fmt.Sprintf("sudo -u %s env -i PATH=/usr/bin:/bin sh -c %s", fields[5], quoted(line))
		}
		if text != "" {
			fmt.Fprintf(&s, `(exec %s
) >printed 2>&1 &
until grep -q %s printed; do
	kill -0 $! || { cat printed; exit 1; }
	sleep 0.1
done
kill $!
wait $!
`, command, quoted(text))
			continue
		}
		fmt.Fprintf(&s, "eval %s <<<%s\n", quoted(command), quoted(input))
	}
	return s.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// blocksToRun returns the blocks of all documents that are run at one of the places.
func blocksToRun(t *testing.T, places ...string) (blocks []*block) {
	t.Helper()
	for _, path := range documents(t) {
		for _, b := range readDocument(t, path) {
			if slices.Contains(places, b.where) {
				blocks = append(blocks, b)
			}
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("no commands are run %q", places)
	}
	return blocks
}

func TestDocuments_everyCommandIsRunOrMarked(t *testing.T) {
	t.Parallel()
	places := []string{inRepository, configured, besideConfig, onMachine, onMachineFiles, onMachineForUser}
	for _, path := range documents(t) {
		for _, b := range readDocument(t, path) {
			at := fmt.Sprintf("%s:%d", b.document, b.line)
			run, marked := 0, map[string]int{}
			for _, command := range b.commands {
				reason, not := find(b.notRun, command)
				_, until := find(b.until, command)
				marked[not]++
				marked[until]++
				if reason == "" {
					run++
				}
			}
			if run > 0 && !slices.Contains(places, b.where) {
				t.Errorf("%s: it is not said where this is run, or why it is not: %q", at, b.where)
			}
			for _, marks := range []map[string]string{b.until, b.notRun} {
				for mark := range marks {
					if marked[mark] != 1 {
						t.Errorf("%s: %d commands are what a comment says of %q, want one", at, marked[mark], mark)
					}
				}
			}
		}
	}
}

var psqlCommand = regexp.MustCompile("`(\\\\d[^`]+)`")

// TestDocuments_psqlFindsWhatTheySay has psql do what the documents say to do in it.
func TestDocuments_psqlFindsWhatTheySay(t *testing.T) {
	t.Parallel()
	url, asked := storetest.New(t).URL, 0
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range psqlCommand.FindAllStringSubmatch(string(text), -1) {
			asked++
			out, err := exec.CommandContext(t.Context(), "psql", url, "--command", m[1]).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "device_batches") {
				t.Errorf("%s: %s: %v\n%s", filepath.Base(path), m[1], err, out)
			}
		}
	}
	if asked == 0 {
		t.Error("nothing is said to do in psql")
	}
}

var mention = regexp.MustCompile("`partnersync(?:-as-service)? ([^`]+)`")

// TestDocuments_mentionWhatThereIs looks for the commands and flags that are mentioned in the text.
func TestDocuments_mentionWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mention.FindAllStringSubmatch(string(text), -1) {
			cmd, args, err := newCommand(&app{}).Find(strings.Fields(m[1]))
			if err == nil {
				err = cmd.ParseFlags(args)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil && !errors.Is(err, pflag.ErrHelp) {
				t.Errorf("%s: `partnersync %s`: %v", filepath.Base(path), m[1], err)
			}
		}
	}
}

// run runs the script in the directory, with variables of its own.
func (b *block) run(t *testing.T, dir, input string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", b.script(input))
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), 10*time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", b.document, b.line, err, output)
	}
}

// newcomer returns variables of a user who has just come: nothing of ours is on the PATH, and Go's caches are as they
// are.
func newcomer(t *testing.T) (env []string) {
	t.Helper()
	var path []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "partnersync")); err != nil {
			path = append(path, dir)
		}
	}
	env = []string{"HOME=" + t.TempDir(), "GOPATH=", "GOBIN=", "GOFLAGS=-buildvcs=false", "XDG_CACHE_HOME=", "PATH=" +
		strings.Join(path, string(filepath.ListSeparator))}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+string(bytes.TrimSpace(value)))
	}
	return env
}

// repository returns a copy of the repository.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "cp", "-r", "README.md", "go.mod", "go.sum", "cmd", "store", "sync",
		"migrations", "deploy", dir)
	cmd.Dir = "../.."
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return dir
}

// TestDocuments_inTheRepository runs what is to be run there, as one who has just come.
func TestDocuments_inTheRepository(t *testing.T) {
	t.Parallel()
	for _, b := range blocksToRun(t, inRepository) {
		t.Run(fmt.Sprintf("%s:%d", b.document, b.line), func(t *testing.T) {
			t.Parallel()
			b.run(t, repository(t), "", newcomer(t)...)
		})
	}
}

// TestDocuments_withTheirConfiguration runs README's commands with its configuration, but for the partner's ids and the
// addresses.
func TestDocuments_withTheirConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(text), "```yaml\n")
	config, _, _ = strings.Cut(config, "```")
	w := newWorld(t, storetest.Empty(t).URL, "", partnercentertest.Options{})
	w.customers(3, "finished")
	for old, emulated := range map[string]string{
		"contoso.onmicrosoft.com":              partnercentertest.DefaultTenantID,
		"6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90": partnercentertest.DefaultClientID,
		"    customers: all\n":                 "    api_url: ${API_URL}\n    authority_url: ${API_URL}\n    customers: all\n",
	} {
		if !strings.Contains(config, old) {
			t.Errorf("README's configuration has no %s", old)
		}
		config = strings.Replace(config, old, emulated, 1)
	}
	for _, b := range blocksToRun(t, configured) {
		dir := repository(t)
		for name, text := range map[string]string{"partnersync.yaml": config, "contoso.secret": clientSecret} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.run(t, dir, "", append(newcomer(t), "DATABASE_URL="+w.env["DATABASE_URL"], "API_URL="+w.env["API_URL"])...)
	}
}

// TestDocuments_besideAConfiguration runs commands in the directory of a configuration whose database has seen a pass.
func TestDocuments_besideAConfiguration(t *testing.T) {
	t.Parallel()
	p := newProgram(t, storetest.Empty(t).URL)
	p.customers(1, "finished")
	p.exits(exitOK, "--once")
	for _, b := range blocksToRun(t, besideConfig) {
		b.run(t, p.dir, "yes", p.env.list()...)
	}
}
