package localpg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindPrograms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		install map[string]string // directory below root -> version
		path    []string          // directories below root
		major   int
		want    string
	}{
		{name: "on the path", install: map[string]string{"/opt/pg/bin": "16.2"}, path: []string{"/opt/pg/bin"},
			want: "/opt/pg/bin"},
		{name: "Debian", install: map[string]string{"/usr/lib/postgresql/15/bin": "15.18 (Debian 15.18-0+deb12u1)"},
			want: "/usr/lib/postgresql/15/bin"},
		{name: "Red Hat", install: map[string]string{"/usr/pgsql-17/bin": "17.0"}, want: "/usr/pgsql-17/bin"},
		{name: "Homebrew", install: map[string]string{"/opt/homebrew/opt/postgresql@16/bin": "16.4 (Homebrew)"},
			want: "/opt/homebrew/opt/postgresql@16/bin"},
		{name: "a beta", install: map[string]string{"/usr/lib/postgresql/19/bin": "19beta1"},
			want: "/usr/lib/postgresql/19/bin"},
		{
			name: "newest wins", path: []string{"/opt/pg/bin"},
			install: map[string]string{"/opt/pg/bin": "15.9", "/usr/lib/postgresql/9.6/bin": "9.6.24",
				"/usr/lib/postgresql/16/bin": "16.10", "/usr/pgsql-16/bin": "16.9"},
			want: "/usr/lib/postgresql/16/bin",
		},
		{
			name:    "the version of the data",
			install: map[string]string{"/usr/lib/postgresql/14/bin": "14.2", "/usr/lib/postgresql/16/bin": "16.0"},
			major:   14, want: "/usr/lib/postgresql/14/bin",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for dir, version := range test.install {
				install(t, filepath.Join(root, dir), version)
			}
			got, err := findPrograms(t.Context(), below(root, test.path), root, test.major)
			if want := filepath.Join(root, test.want); err != nil || got.dir != want {
				t.Errorf("got %+v, %v, want %s", got, err, want)
			}
		})
	}
}

func TestFindPrograms_throughPgConfigAndLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	hidden, bin := filepath.Join(root, "hidden"), filepath.Join(root, "bin")
	install(t, hidden, "15.1")
	script(t, filepath.Join(bin, "pg_config"), `test "$1" = --bindir && echo `+hidden)
	got, err := findPrograms(t.Context(), bin, root, 0)
	if err != nil || got.dir != hidden {
		t.Errorf("by pg_config: got %+v, %v, want %s", got, err, hidden)
	}
	links := filepath.Join(root, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(hidden, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	got, err = findPrograms(t.Context(), links, root, 0)
	if err != nil || got.dir != hidden {
		t.Errorf("by a link: got %+v, %v, want %s", got, err, hidden)
	}
}

func TestFindPrograms_nothingFoundSaysWhereAndWhatToInstall(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	install(t, filepath.Join(root, "/usr/lib/postgresql/13/bin"), "13.20")
	broken := filepath.Join(root, "broken")
	install(t, broken, "16.0")
	script(t, filepath.Join(broken, "postgres"), "exit 1")
	clientOnly := filepath.Join(root, "client")
	script(t, filepath.Join(clientOnly, "postgres"), "echo 'postgres (PostgreSQL) 16.0'")
	script(t, filepath.Join(clientOnly, "pg_config"), "exit 1")
	path := below(root, []string{"broken", "client", "absent"}) + string(filepath.ListSeparator)
	_, err := findPrograms(t.Context(), path, root, 0)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range append([]string{
		path, "pg_config", "PostgreSQL 14 or newer", "found only 13.20 in " + root,
		"apt-get install postgresql)", "postgresql-server", "Homebrew",
	}, wellKnown...) {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	_, err = findPrograms(t.Context(), path, root, 15)
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql-15)") {
		t.Errorf("for data of version 15: %v", err)
	}
}

func TestPrograms_psqlFallsBackToItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := (programs{dir: dir}).psql(); got != "psql" {
		t.Errorf("got %s", got)
	}
	script(t, filepath.Join(dir, "psql"), "true")
	if got := (programs{dir: dir}).psql(); got != filepath.Join(dir, "psql") {
		t.Errorf("got %s", got)
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n")
	f.Add("postgres (PostgreSQL) 19devel\n")
	f.Add("postgres (PostgreSQL) 99999999999999999999.1\n")
	f.Add("postgres: command not found")
	f.Fuzz(func(t *testing.T, line string) {
		v, ok := parseVersion(line)
		if !ok {
			if v != (version{}) {
				t.Errorf("%q is no version, but %v", line, v)
			}
			return
		}
		again, ok := parseVersion("postgres (PostgreSQL) " + v.String())
		if !ok || again != v || v.major < 0 || v.minor < 0 {
			t.Errorf("%q is read as %v, which is read as %v", line, v, again)
		}
	})
}

// install puts programs into dir that answer as a server of that version would.
func install(t *testing.T, dir, version string) {
	t.Helper()
	script(t, filepath.Join(dir, "initdb"), "true")
	script(t, filepath.Join(dir, "postgres"), "echo 'postgres (PostgreSQL) "+version+"'")
}

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// below returns a PATH of directories below root.
func below(root string, dirs []string) string {
	var path []string
	for _, dir := range dirs {
		path = append(path, filepath.Join(root, dir))
	}
	return strings.Join(path, string(filepath.ListSeparator))
}
