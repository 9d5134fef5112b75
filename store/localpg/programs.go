package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest major version that partnersync supports.
const minMajor = 14

// wellKnown are the directories where packages put the server's programs that are not on the PATH.
var wellKnown = []string{
	"/usr/lib/postgresql/*/bin",                           // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                    // Red Hat and others, from postgresql.org
	"/usr/lib/postgresql*/bin",                            // SUSE
	"/usr/libexec/postgresql*",                            // Alpine
	"/usr/local/pgsql/bin",                                // PostgreSQL's own default
	"/opt/homebrew/opt/postgresql*/bin",                   // Homebrew on Apple's processors
	"/usr/local/opt/postgresql*/bin",                      // Homebrew on Intel's
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",      // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin/", // Postgres.app
}

// programs is a directory that holds a server's programs.
type programs struct {
	dir     string
	version version
}

// psql returns the command psql: the installation's own if it has one, since Debian's wrapper of that name
// complains if the system has no cluster.
func (p programs) psql() string {
	if own := filepath.Join(p.dir, "psql"); isProgram(own) {
		return own
	}
	return "psql"
}

// findPrograms returns the newest installation on the given PATH or in one of the well-known directories below
// root; if major is not 0, the newest of that major version.
func findPrograms(ctx context.Context, path, root string, major int) (programs, error) {
	var found []programs
	for _, dir := range candidates(ctx, path, root) {
		if v, ok := serverVersion(ctx, dir); ok {
			found = append(found, programs{dir, v})
		}
	}
	slices.SortStableFunc(found, func(a, b programs) int { return b.version.compare(a.version) })
	for _, p := range found {
		if p.version.major >= minMajor && (major == 0 || p.version.major == major) {
			return p, nil
		}
	}
	return programs{}, notFound(path, major, found)
}

// candidates returns the directories that hold initdb and postgres, each once and without symbolic links.
func candidates(ctx context.Context, path, root string) []string {
	dirs := filepath.SplitList(path)
	for _, dir := range dirs {
		if config := filepath.Join(dir, "pg_config"); isProgram(config) {
			out, _ := exec.CommandContext(ctx, config, "--bindir").Output() // one that fails finds nothing
			dirs = append(dirs, strings.TrimSpace(string(out)))
		}
	}
	for _, pattern := range wellKnown {
		matches, _ := filepath.Glob(filepath.Join(root, pattern)) // fails for a malformed pattern only
		dirs = append(dirs, matches...)
	}
	var holding []string
	for _, dir := range dirs {
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || !filepath.IsAbs(postgres) {
			continue
		}
		dir = filepath.Dir(postgres)
		if isProgram(postgres) && isProgram(filepath.Join(dir, "initdb")) && !slices.Contains(holding, dir) {
			holding = append(holding, dir)
		}
	}
	return holding
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// serverVersion asks the server in dir for its version.
func serverVersion(ctx context.Context, dir string) (version, bool) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return version{}, false
	}
	return parseVersion(string(out))
}

// notFound returns the error that says what was looked for and where, what was found instead, and what to install.
func notFound(path string, major int, found []programs) error {
	wanted, apt, brew := fmt.Sprintf("PostgreSQL %d or newer", minMajor), "postgresql", "postgresql"
	if major != 0 {
		wanted = fmt.Sprintf("PostgreSQL %d, which the data directory is of,", major)
		apt, brew = fmt.Sprintf("postgresql-%d", major), fmt.Sprintf("postgresql@%d", major)
	}
	text := "finding the programs postgres and initdb of " + wanted + ": looked in PATH (" + path +
		"), where a pg_config on it points, and in " + strings.Join(wellKnown, ", ")
	for _, p := range found {
		text += fmt.Sprintf("; found only %s in %s", p.version, p.dir)
	}
	return fmt.Errorf("%s: install the package %s (Debian, Ubuntu: apt-get install %s), postgresql-server (Red Hat, "+
		"SUSE) or, with Homebrew, %s", text, apt, apt, brew)
}

// version is a version of PostgreSQL; the minor one is 0 for a beta.
type version struct{ major, minor int }

// String returns major and minor version, such as 15.18.
func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) compare(w version) int {
	return slices.Compare([]int{v.major, v.minor}, []int{w.major, w.minor})
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d{1,4})(?:\.(\d{1,4}))?`)

// parseVersion reads what postgres --version prints, such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func parseVersion(line string) (version, bool) {
	match := versionLine.FindStringSubmatch(line)
	if match == nil {
		return version{}, false
	}
	major, _ := strconv.Atoi(match[1]) // a few digits, by the pattern
	minor, _ := strconv.Atoi(match[2]) // or none, which is 0
	return version{major, minor}, true
}
