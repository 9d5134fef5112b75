//go:build unix

package localpg

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const runningPID = `4242
/srv/data
1795335415
5433
/srv/socket

  5432001    131072
ready   
`

func TestParsePostmaster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       postmaster
		ok         bool
	}{
		{"ready", runningPID, postmaster{4242, 5433, "/srv/socket", true}, true},
		{"starting", strings.Replace(runningPID, "ready   ", "starting", 1), postmaster{4242, 5433, "/srv/socket", false},
			true},
		{"stopping", strings.Replace(runningPID, "ready   ", "stopping", 1), postmaster{4242, 5433, "/srv/socket", false},
			true},
		{"no status yet", "4242\n/srv/data\n1795335415\n5433\n/srv/socket\n", postmaster{4242, 5433, "/srv/socket", false},
			true},
		{"no socket yet", "4242\n/srv/data\n1795335415\n5433\n", postmaster{}, false},
		{"empty", "", postmaster{}, false},
		{"everyone", strings.Replace(runningPID, "4242", "-1", 1), postmaster{}, false},
		{"stand-alone backend", strings.Replace(runningPID, "4242", "-4242", 1), postmaster{}, false},
		{"no numbers", "a\nb\nc\nd\ne\n", postmaster{}, false},
	} {
		got, ok := parsePostmaster(test.text)
		if ok != test.ok {
			t.Errorf("%s: ok = %v", test.name, ok)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(postmaster{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func FuzzParsePostmaster(f *testing.F) {
	f.Add(runningPID)
	f.Add("1\n\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parsePostmaster(text); ok && (p.pid <= 1 || p.socketDir == "") {
			t.Errorf("%q gives %+v: a signal to it would hit others", text, p)
		}
	})
}

func TestAccount_reachNamesEveryClosedDirectory(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	dir := filepath.Join(root, "closed", "open", "shut")
	for d, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o711,
		filepath.Join(root, "closed"): 0o770} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	stranger := account{"stranger", &syscall.Credential{Uid: 54321, Gid: 54321}}
	err := stranger.reach(dir)
	if err == nil || !strings.Contains(err.Error(), "account stranger") ||
		!strings.Contains(err.Error(), "chmod o+x "+dir+" "+filepath.Join(root, "closed")) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), filepath.Dir(dir)+",") {
		t.Errorf("an open directory is named: %v", err)
	}
	if err := (account{}).reach(dir); err != nil {
		t.Errorf("for ourselves: %v", err)
	}
}

func TestAccount_searchableByOwnerGroupAndOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stat syscall.Stat_t
	if err := syscall.Stat(dir, &stat); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		mode     fs.FileMode
		uid, gid uint32
		want     bool
	}{
		{"owner", 0o700, stat.Uid, 54321, true},
		{"owner shut out", 0o077, stat.Uid, 54321, false},
		{"group", 0o710, 54321, stat.Gid, true},
		{"group shut out", 0o701, 54321, stat.Gid, false},
		{"others", 0o701, 54321, 54321, true},
		{"others shut out", 0o770, 54321, 54321, false},
	} {
		if err := os.Chmod(dir, test.mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		a := account{credential: &syscall.Credential{Uid: test.uid, Gid: test.gid}}
		if got := a.searchable(info); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestServerAccount(t *testing.T) {
	t.Parallel()
	if a, err := serverAccount(1000); err != nil || a != (account{}) {
		t.Errorf("for a user: %+v, %v, want themselves", a, err)
	}
	a, err := serverAccount(0)
	if err != nil || a.credential == nil || a.credential.Uid == 0 || a.credential.Gid == 0 {
		t.Errorf("for root: %+v, %v, want somebody else", a, err)
	}
}

func TestSweep_removesOnlyWhatWasLeft(t *testing.T) {
	t.Parallel()
	parent := tempDir(t)
	for _, dir := range []string{"left/data", "interrupted/data.new-1", "starting", "living/data"} {
		if err := os.MkdirAll(filepath.Join(parent, tempPattern+dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(parent, "else", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(parent, "else"), filepath.Join(parent, tempPattern+"link")); err != nil {
		t.Fatal(err)
	}
	living := &home{dir: filepath.Join(parent, tempPattern+"living")}
	if locked, err := living.tryLock(); !locked || err != nil {
		t.Fatal(locked, err)
	}
	defer living.close()
	sweep(parent)
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, strings.TrimPrefix(e.Name(), tempPattern))
	}
	if diff := cmp.Diff([]string{"else", "link", "living", "starting"}, got); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := environment([]string{"PATH=/bin", "PGDATA=/x", "PGPORT=1", "LANG=de_DE.UTF-8", "LANGUAGE=de", "LC_MESSAGES=fr",
		"TZ=UTC"})
	if diff := cmp.Diff([]string{"PATH=/bin", "TZ=UTC", "LC_ALL=C"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
