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

// What others could have put links into is refused, and so is, for root, what they could replace.
func TestTrusted(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	dir := filepath.Join(root, "above", "state")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mode := func(path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what string, err error, want string) {
		t.Helper()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "state_dir")) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	mode(dir, 0o711)
	me := os.Geteuid()
	wants("our own", trusted(dir, true, me), "")
	wants("another's", trusted(dir, true, 54321), "belongs to another user")
	wants("a place in another's", trusted(dir, false, 54321), "")
	mode(dir, 0o777|fs.ModeSticky)
	wants("everybody's", trusted(dir, true, me), "others may write to "+dir)
	if me != 0 {
		wants("a user's, for root", trusted(dir, false, 0), "belongs to another user")
		return
	}
	wants("a place in everybody's, whose files only their owners replace", trusted(dir, false, 0), "")
	mode(dir, 0o777)
	wants("a place in everybody's", trusted(dir, false, 0), "others may write to "+dir)
	mode(dir, 0o711)
	if err := os.Chown(filepath.Dir(dir), 54321, 54321); err != nil {
		t.Fatal(err)
	}
	wants("our own in another's", trusted(dir, true, 0), filepath.Dir(dir)+" belongs to another user (54321)")
	wants("our own in another's, for a user", trusted(dir, true, 54321), "belongs to another user (0)")
}

// Nothing behind a link in another's directory is touched.
func TestStart_refusesAnothersDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("allowed: only root can make what is another's")
	}
	root := tempDir(t)
	state, precious := filepath.Join(root, "state"), filepath.Join(root, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(state, "postgres.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "made"), filepath.Join(state, "lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(state, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{state, filepath.Join(state, "new", "one"), filepath.Join(root, "link")} {
		server, err := Start(t.Context(), Config{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "belongs to another user (54321)") {
			t.Errorf("%s: %v, want it refused", dir, err)
		}
		if server != nil {
			_ = server.Stop()
		}
	}
	text, err := os.ReadFile(precious)
	if err != nil || string(text) != "precious" {
		t.Errorf("what a link leads to is %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(root, "made")); err == nil {
		t.Error("a file was made behind a link")
	}
	if entries, err := os.ReadDir(state); err != nil || len(entries) != 2 {
		t.Errorf("in the directory are %v, %v", entries, err)
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
