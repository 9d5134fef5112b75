//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// poll is how often to look at the files through which PostgreSQL reports its state.
const poll = 5 * time.Millisecond

// tempPattern names the temporary directories.
const tempPattern = "partnersync-postgres-"

// home is the directory of a server:
//
//	data/         the cluster
//	data.new-…/   the cluster while initdb creates it; the next start removes those of killed ones
//	socket/       the socket, in a directory that is closed to others
//	postgres.log  the log of the last run
//	lock          locked by the process that started the server while it lives
type home struct {
	dir     string // absolute, without symbolic links
	account account
	temp    []string // what close removes
	lock    *os.File // nil unless we are the starter
}

func (h *home) data() string { return filepath.Join(h.dir, "data") }
func (h *home) log() string  { return filepath.Join(h.dir, "postgres.log") }

// openHome creates the directory, a temporary one for "", and checks that the server's account can reach it.
func openHome(dir string) (*home, error) {
	a, err := serverAccount(os.Geteuid())
	if err != nil {
		return nil, err
	}
	h := &home{account: a}
	if dir == "" {
		sweep(os.TempDir())
		if dir, err = os.MkdirTemp("", tempPattern); err != nil {
			return nil, err
		}
		h.temp = []string{dir}
	}
	if h.dir, err = makeDir(dir, h.temp != nil); err == nil {
		err = a.reach(h.dir)
	}
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// makeDir creates dir if it is missing, and returns it without symbolic links. Others may enter a directory of ours, since
// the server's account may be another, but see nothing of what is in it. One that others could put links into is refused.
func makeDir(dir string, ours bool) (string, error) {
	const passable = 0o711
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	there, missing := dir, ""
	for {
		if _, err := os.Lstat(there); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		there, missing = filepath.Dir(there), filepath.Join(filepath.Base(there), missing)
	}
	if there, err = filepath.EvalSymlinks(there); err != nil {
		return "", err
	}
	if !ours {
		if err := trusted(there, missing == "", os.Geteuid()); err != nil {
			return "", err
		}
	}
	dir = filepath.Join(there, missing)
	if err := os.MkdirAll(dir, passable); err != nil {
		return "", err
	}
	if ours || missing != "" {
		return dir, os.Chmod(dir, passable) // whatever the umask
	}
	return dir, nil
}

// trusted returns an error if another than the user could have put links into the directory, or can put another one in its
// place. The path is absolute and without links. A user's own choice of a place for a directory that is still to be
// made is trusted, but for root's: others may have given it the name.
func trusted(dir string, isHome bool, uid int) error {
	const fix = "name a directory of your own, such as /var/lib/partnersync, as state_dir"
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Lstat(d)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		writable := info.Mode()&0o022 != 0
		switch itself := isHome && d == dir; {
		case !itself && uid != 0:
			return nil
		case ok && int(stat.Uid) != uid:
			return fmt.Errorf("using %s: %s belongs to another user (%d): %s", dir, d, stat.Uid, fix)
		case writable && (itself || info.Mode()&os.ModeSticky == 0):
			return fmt.Errorf("using %s: others may write to %s: chmod go-w %s, or %s", dir, d, d, fix)
		case d == filepath.Dir(d):
			return nil
		}
	}
}

// close removes temporary directories and unlocks the home.
func (h *home) close() error {
	var errs []error
	for _, dir := range h.temp {
		errs = append(errs, os.RemoveAll(dir))
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}

// version returns the major version of PostgreSQL that created the data, 0 if there is none yet.
func (h *home) version() int {
	text, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(text))) // the server complains about anything else
	return major
}

// claim makes us the starter of the server, after stopping a server whose starter is gone. If its starter is alive,
// claim returns that server once it is ready.
func (h *home) claim(ctx context.Context) (*postmaster, error) {
	for tick := time.NewTicker(poll); ; {
		locked, err := h.tryLock()
		if err != nil {
			return nil, err
		}
		if locked {
			return nil, h.stopStale(ctx)
		}
		if at, ok := h.postmaster(); ok && at.ready && at.answers() {
			return &at, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the server in %s, whose starter lives: %w", h.dir, ctx.Err())
		}
	}
}

// tryLock locks the directory unless a live process has locked it. The system releases the lock whenever the
// process ends, and unlike a process id it cannot come to mean another process.
func (h *home) tryLock() (bool, error) {
	f, err := os.OpenFile(filepath.Join(h.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		h.lock = f
		return true, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return false, fmt.Errorf("locking %s: %w", f.Name(), err)
}

// stopStale stops a server whose starter is gone, and waits until it is down.
func (h *home) stopStale(ctx context.Context) error {
	for tick := time.NewTicker(poll); ; {
		at, ok := h.postmaster()
		// By now the process id may be that of another process: only a server that answers is alive.
		if !ok || !at.answers() {
			return nil
		}
		if err := syscall.Kill(at.pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping the stale server %d in %s: %w", at.pid, h.dir, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the stale server %d in %s to stop: %w", at.pid, h.dir, ctx.Err())
		}
	}
}

// sweep removes temporary directories in parent whose starters were killed.
func sweep(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, tempPattern+"*", "data*")) // fails for a malformed pattern only
	for _, data := range dirs {
		h := &home{dir: filepath.Dir(data)}
		if !ownedBy(h.dir, os.Geteuid()) {
			continue
		}
		// The holder of the lock creates the data: with data but without a holder, a directory is abandoned.
		if locked, err := h.tryLock(); err != nil || !locked {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		if h.stopStale(ctx) == nil {
			h.temp = []string{h.dir}
		}
		cancel()
		_ = h.close() // the next sweep removes what is left
	}
}

// ownedBy reports whether the directory, which must not be a link, is the user's. Another user's may hold anything.
func ownedBy(dir string, uid int) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// postmaster is what the running server says about itself in postmaster.pid.
type postmaster struct {
	pid       int
	port      int
	socketDir string
	ready     bool // it accepts connections
}

// postmaster reads postmaster.pid, and reports whether there is one that is completely written.
func (h *home) postmaster() (postmaster, bool) {
	text, err := os.ReadFile(filepath.Join(h.data(), "postmaster.pid"))
	if err != nil {
		return postmaster{}, false
	}
	return parsePostmaster(string(text))
}

// parsePostmaster reads the lines of postmaster.pid: process id, data directory, start time, port, socket directory,
// address, shared memory, status. The last ones are missing while the server starts.
func parsePostmaster(text string) (postmaster, bool) {
	lines := append(strings.Split(text, "\n"), make([]string, 8)...)
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid <= 1 {
		return postmaster{}, false
	}
	port, err := strconv.Atoi(lines[3])
	if err != nil || lines[4] == "" {
		return postmaster{}, false
	}
	return postmaster{pid, port, lines[4], strings.TrimSpace(lines[7]) == "ready"}, true
}

func (p postmaster) socket() string {
	return filepath.Join(p.socketDir, ".s.PGSQL."+strconv.Itoa(p.port))
}

// answers reports whether a server listens on the socket.
func (p postmaster) answers() bool {
	c, err := net.Dial("unix", p.socket())
	if err != nil {
		return false
	}
	return c.Close() == nil
}
