//go:build unix

package localpg

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// helperDir makes the test binary a helper process, which starts a server in that directory, says so and waits.
const helperDir = "LOCALPG_HELPER_DIR"

func TestMain(m *testing.M) {
	dir, ok := os.LookupEnv(helperDir)
	if !ok {
		os.Exit(m.Run())
	}
	fmt.Println("starting")
	srv, err := Start(context.Background(), Config{Dir: dir, Settings: quick})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(srv.URL("postgres"))
	bufio.NewReader(os.Stdin).ReadByte() // until the test closes it
	if err := srv.Stop(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var quick = map[string]string{"fsync": "off"}

func TestStart_restartKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "made", "on the way")
	srv := mustStart(t, Config{Dir: dir, Settings: quick})
	query(t, srv.URL("postgres"), "CREATE DATABASE kept")
	mustStop(t, srv)
	if err := srv.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), srv.URL("kept")); err == nil {
		t.Error("the server still answers after Stop")
	}
	srv = mustStart(t, Config{Dir: dir, Settings: quick})
	if got := query(t, srv.URL("kept"), "SELECT current_database() || ' ' || current_user"); got != "kept postgres" {
		t.Errorf("after a restart got %q", got)
	}
}

func TestStart_zeroConfigLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	srv := mustStart(t, Config{})
	dir := filepath.Dir(srv.socketDir)
	if info, err := os.Stat(srv.socketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	if got := query(t, srv.URL("postgres"), "SHOW listen_addresses"); got != "" {
		t.Errorf("listens on %q", got)
	}
	mustStop(t, srv)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after Stop, %s: %v", dir, err)
	}
}

func TestStart_appliesSettings(t *testing.T) {
	t.Parallel()
	srv := mustStart(t, Config{Settings: map[string]string{
		"fsync": "off", "application_name": "it's \"quoted\" = here", "listen_addresses": "*",
	}})
	for name, want := range map[string]string{
		"fsync": "off", "application_name": "it's \"quoted\" = here", "listen_addresses": "", "lc_messages": "C",
		"server_encoding": "UTF8",
	} {
		if got := query(t, srv.URL("postgres"), "SHOW "+name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestStart_reportsTheServersLog(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	_, err := Start(t.Context(), Config{Dir: dir, Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) ||
		!strings.Contains(err.Error(), "postgres.log") {
		t.Errorf("got %v, want the server's own complaint and the log's name", err)
	}
	mustStart(t, Config{Dir: dir, Settings: quick}) // the failure holds nothing back
}

func TestStart_cancelledContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := tempDir(t)
	if _, err := Start(ctx, Config{Dir: dir}); err == nil {
		t.Fatal("started with a cancelled context")
	}
	mustStart(t, Config{Dir: dir, Settings: quick})
}

func TestStart_serversSideBySide(t *testing.T) {
	t.Parallel()
	a, b := mustStart(t, Config{Settings: quick}), mustStart(t, Config{Settings: quick})
	query(t, a.URL("postgres"), "CREATE DATABASE only_a")
	if got := query(t, b.URL("postgres"), "SELECT count(*)::text FROM pg_database WHERE datname = 'only_a'"); got != "0" {
		t.Error("both are one server")
	}
}

func TestStart_usesTheServerOfALiveStarter(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	first := mustStart(t, Config{Dir: dir, Settings: quick})
	second := mustStart(t, Config{Dir: dir, Settings: map[string]string{"fsync": "on"}})
	if diff := cmp.Diff(first.URL("x"), second.URL("x")); diff != "" {
		t.Errorf("not the same server (-first +second):\n%s", diff)
	}
	mustStop(t, second)
	if got := query(t, first.URL("postgres"), "SHOW fsync"); got != "off" {
		t.Errorf("fsync = %q", got)
	}
}

func TestStart_manyAtOnceShareOneServer(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := make(chan *Server)
	for range 4 {
		go func() {
			srv, err := Start(t.Context(), Config{Dir: dir, Settings: quick})
			if err != nil {
				t.Error(err)
			}
			servers <- srv
		}()
	}
	pids := map[string]bool{}
	var all []*Server
	for range 4 {
		if srv := <-servers; srv != nil {
			all = append(all, srv)
			pids[query(t, srv.URL("postgres"), "SELECT pg_postmaster_start_time()::text")] = true
		}
	}
	for _, srv := range all {
		mustStop(t, srv)
	}
	if len(pids) != 1 {
		t.Errorf("%d servers were started", len(pids))
	}
}

func TestStart_afterTheServerWasKilled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	var log syncBuffer
	for round := range 3 {
		srv := mustStart(t, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if got := query(t, srv.URL("postgres"),
			"SELECT count(*)::text FROM pg_database WHERE datname LIKE 'round%'"); got != strconv.Itoa(round) {
			t.Errorf("round %d has %s databases of the rounds before", round, got)
		}
		query(t, srv.URL("postgres"), fmt.Sprintf("CREATE DATABASE round%d", round))
		keepBusy(t, srv.URL("postgres"))
		pm, _ := (&home{dir: dir}).postmaster()
		if err := syscall.Kill(pm.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the death to be reported", func() bool {
			return strings.Count(log.String(), "ended by itself") == round+1
		})
		if err := srv.Stop(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("Stop of a killed server: %v", err)
		}
	}
}

func TestStart_afterTheStarterWasKilled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for round := range 3 {
		helper, lines := startHelper(t, dir)
		url := lines.next(t)
		query(t, url, fmt.Sprintf("CREATE DATABASE round%d", round))
		helper.Process.Kill()
		helper.Wait()
		srv := mustStart(t, Config{Dir: dir})
		if got := query(t, srv.URL("postgres"), "SHOW fsync"); got != "on" {
			t.Error("the stale server was used")
		}
		query(t, srv.URL("postgres"), fmt.Sprintf("DROP DATABASE round%d", round))
		mustStop(t, srv)
	}
}

// If the system does not end the server with its starter, it is found running, and no process holds the lock.
func TestStart_stopsAStaleServerFirst(t *testing.T) {
	t.Parallel()
	h, err := openHome(tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	stale, err := h.start(t.Context(), Config{Settings: quick, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	query(t, stale.URL("postgres"), "CREATE DATABASE kept")
	if err := h.lock.Close(); err != nil {
		t.Fatal(err)
	}
	srv := mustStart(t, Config{Dir: h.dir})
	if got := query(t, srv.URL("kept"), "SHOW fsync"); got != "on" {
		t.Error("the stale server was used")
	}
}

func TestStart_usesTheServerOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	_, lines := startHelper(t, dir)
	url := lines.next(t)
	srv := mustStart(t, Config{Dir: dir})
	if got := srv.URL("postgres"); got != url {
		t.Errorf("connects to %s, the other process's server is %s", got, url)
	}
	mustStop(t, srv)
	query(t, url, "SELECT ''")
}

func TestStart_afterAKillDuringInitdb(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	helper, _ := startHelper(t, dir)
	waitFor(t, "initdb", func() bool {
		files, err := filepath.Glob(filepath.Join(dir, freshPattern, "PG_VERSION"))
		return err == nil && len(files) > 0
	})
	helper.Process.Kill()
	helper.Wait()
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Log("initdb was quicker than the kill")
	}
	srv := mustStart(t, Config{Dir: dir, Settings: quick})
	query(t, srv.URL("postgres"), "SELECT ''")
}

func TestStart_removesWhatAnInterruptedInitdbLeft(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new-1", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Config{Dir: dir, Settings: quick})
	if left, err := filepath.Glob(filepath.Join(dir, freshPattern)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestStart_longPath(t *testing.T) {
	t.Parallel()
	srv := mustStart(t, Config{Dir: filepath.Join(tempDir(t), strings.Repeat("long", 30)), Settings: quick})
	query(t, srv.URL("postgres"), "SELECT ''")
	if info, err := os.Stat(srv.socketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	mustStop(t, srv)
	if _, err := os.Stat(srv.socketDir); !os.IsNotExist(err) {
		t.Errorf("the socket's directory after Stop: %v", err)
	}
}

func TestStart_listensOnLoopbackOnRequest(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	srv := mustStart(t, Config{Port: port, Settings: quick})
	tcp := fmt.Sprintf("postgres://postgres:secret@127.0.0.1:%d/postgres?sslmode=disable", port)
	if _, err := pgx.Connect(t.Context(), tcp); err == nil {
		t.Error("connected over TCP before a password was set")
	}
	query(t, srv.URL("postgres"), "ALTER ROLE postgres PASSWORD 'secret'")
	query(t, tcp, "SELECT ''")
}

func TestStart_directoryOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "PostgreSQL 99, which the data directory is of") {
		t.Errorf("got %v", err)
	}
}

func TestStart_unusableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(tempDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{Dir: filepath.Join(file, "below")}); err == nil {
		t.Error("started below a file")
	}
}

func TestServer_PsqlCommandWorksInAShell(t *testing.T) {
	t.Parallel()
	srv := mustStart(t, Config{Dir: filepath.Join(tempDir(t), "it's & odd"), Settings: quick})
	cmd := exec.CommandContext(t.Context(), "sh", "-c", srv.PsqlCommand("postgres")+" -Atc 'SELECT 41 + 1'")
	cmd.Env = append(os.Environ(), "PGHOST=elsewhere", "PGPORT=1", "PGUSER=nobody", "PGDATABASE=none")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "42\n" {
		t.Errorf("%s: %q, %v", cmd, out, err)
	}
}

func TestServer_URL(t *testing.T) {
	t.Parallel()
	s := &Server{socketDir: "/tmp/a b?&", port: 5433}
	const want = "postgres://postgres@/my/db%3F?host=%2Ftmp%2Fa%20b%3F%26&port=5433"
	if got := s.URL("my/db?"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":               "''",
		"/usr/bin/psql":  "/usr/bin/psql",
		"a b":            "'a b'",
		"it's":           `'it'\''s'`,
		"$HOME`id`;\"x>": "'$HOME`id`;\"x>'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellQuote(in)).Output()
		if err != nil || string(out) != in {
			t.Errorf("the shell reads %q as %q, %v", in, out, err)
		}
	}
}

// tempDir is t.TempDir for a server that runs as a user other than the test's.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustStart(t *testing.T, cfg Config) *Server {
	t.Helper()
	srv, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Stop() })
	return srv
}

func mustStop(t *testing.T, srv *Server) {
	t.Helper()
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
}

// query runs a statement and returns the first column of its first row, "" if it has none.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(values, "")
}

// keepBusy leaves a backend that takes a while to notice that its server has ended.
func keepBusy(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn.Exec(context.WithoutCancel(t.Context()), "SELECT count(*) FROM generate_series(1, 1000000)")
		conn.Close(context.WithoutCancel(t.Context()))
	}()
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, giveUp := time.NewTicker(time.Millisecond), time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-giveUp:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

type helperOutput struct{ *bufio.Scanner }

func (h helperOutput) next(t *testing.T) string {
	t.Helper()
	if !h.Scan() {
		t.Fatalf("the helper process said nothing: %v", h.Err())
	}
	return h.Text()
}

// startHelper runs a process that starts the server of dir, and ends it with the test.
func startHelper(t *testing.T, dir string) (*exec.Cmd, helperOutput) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait() // an error if the test has already waited
	})
	lines := helperOutput{bufio.NewScanner(stdout)}
	if got := lines.next(t); got != "starting" {
		t.Fatalf("the helper process said %q", got)
	}
	return cmd, lines
}

// syncBuffer is a buffer that may be written and read concurrently.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
