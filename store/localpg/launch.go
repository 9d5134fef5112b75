//go:build unix

package localpg

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// maxSocketPath is the longest path of a socket that every system accepts, in bytes: macOS's limit. Linux's is 107.
const maxSocketPath = 103

// freshPattern is the name of a cluster that is being created. Each has its own, since an initdb may outlive its
// parent for a moment and then remove what it created.
const freshPattern = "data.new-*"

// initialize creates the cluster if it is missing. It gets its name when it is complete, so that a killed process
// leaves nothing that looks like a cluster.
func (h *home) initialize(ctx context.Context, pg programs) error {
	if _, err := os.Stat(h.data()); err == nil {
		return nil
	}
	left, _ := filepath.Glob(filepath.Join(h.dir, freshPattern)) // fails for a malformed pattern only
	for _, dir := range left {
		_ = os.RemoveAll(dir) // an initdb that is still ending may write there: the next start tries again
	}
	fresh, err := os.MkdirTemp(h.dir, freshPattern)
	if err != nil {
		return err
	}
	if err := h.account.own(fresh); err != nil {
		return err
	}
	var out strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join(pg.dir, "initdb"), "--pgdata="+fresh, "--username=postgres",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := h.run(cmd)
	if err != nil {
		return err
	}
	if <-p.done; p.err != nil {
		return fmt.Errorf("making the cluster: initdb: %w\n%s", p.err, out.String())
	}
	return os.Rename(fresh, h.data())
}

// mkdir creates a directory that only the server's account and root can enter.
func (h *home) mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return h.account.own(dir)
}

// launch starts the server and waits until it accepts connections.
func (h *home) launch(ctx context.Context, pg programs, cfg Config) (*process, postmaster, error) {
	at := postmaster{port: cfg.Port, socketDir: filepath.Join(h.dir, "socket")}
	if at.port == 0 {
		at.port = 5432 // names the socket
	}
	if len(at.socket()) > maxSocketPath {
		dir, err := os.MkdirTemp("/tmp", "partnersync-socket-")
		if err != nil {
			return nil, at, err
		}
		at.socketDir, h.temp = dir, append(h.temp, dir)
	}
	if err := h.mkdir(at.socketDir); err != nil {
		return nil, at, err
	}
	for {
		p, err := h.serve(ctx, pg, arguments(h.data(), at, cfg))
		if err == nil || !occupied(err) {
			return p, at, err
		}
		select {
		case <-time.After(10 * poll):
		case <-ctx.Done():
			return nil, at, err
		}
	}
}

// occupied reports whether err says that the server before has not quite ended: after a crash its backends keep the
// shared memory until they notice, and its lock file is the last thing that a shutdown removes.
func occupied(err error) bool {
	text := err.Error()
	return strings.Contains(text, "is still in use") || strings.Contains(text, `lock file "postmaster.pid" already exists`)
}

// arguments returns the command line of the server. If a setting is given twice, the last one wins, so that the
// caller cannot change where the server listens.
func arguments(data string, at postmaster, cfg Config) []string {
	listen := ""
	if cfg.Port != 0 {
		listen = "localhost"
	}
	args := []string{"-D", data}
	for _, name := range slices.Sorted(maps.Keys(cfg.Settings)) {
		args = append(args, "-c", name+"="+cfg.Settings[name])
	}
	return append(args, "-c", "listen_addresses="+listen, "-c", "port="+strconv.Itoa(at.port),
		"-c", "unix_socket_directories="+at.socketDir, "-c", "unix_socket_permissions=0700")
}

// serve starts postgres once and waits until it is ready or has ended.
func (h *home) serve(ctx context.Context, pg programs, args []string) (*process, error) {
	log, err := os.OpenFile(h.log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(pg.dir, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := h.run(cmd)
	if err != nil {
		return nil, err
	}
	for tick := time.NewTicker(poll); ; {
		if at, ok := h.postmaster(); ok && at.ready && at.pid == cmd.Process.Pid {
			return p, nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return nil, fmt.Errorf("the server did not come up (%s); its log, %s, ends with:\n%s",
				cmd.ProcessState, h.log(), tail(h.log()))
		case <-ctx.Done():
			_ = p.stop() // what matters is that it has ended
			return nil, fmt.Errorf("waiting for the server to come up: %w; its log, %s, ends with:\n%s",
				ctx.Err(), h.log(), tail(h.log()))
		}
	}
}

// tail returns the last lines of a log.
func tail(path string) string {
	const lines = 20
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// process is one of PostgreSQL's programs that we have started.
type process struct {
	cmd      *exec.Cmd
	stopping atomic.Bool
	done     chan struct{} // closed when the program has ended
	err      error         // how it ended; read it after done
}

// run starts the command as the server's account. The terminal's ^C does not reach the program, since it would end
// it while we still need it, but the program ends with us if the system can do that.
func (h *home) run(cmd *exec.Cmd) (*process, error) {
	cmd.Dir = h.dir
	cmd.Env = environment(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.account.credential}
	endWithParent(cmd.SysProcAttr)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// To the system, the parent is the thread that starts the program: keep it until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop ends the program and waits until it has ended. It is an error if the program had ended by itself.
func (p *process) stop() error {
	p.stopping.Store(true)
	select {
	case <-p.done:
		return fmt.Errorf("it had ended by itself: %s", p.cmd.ProcessState)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && err != os.ErrProcessDone {
		return err
	}
	<-p.done
	return p.err
}

// environment returns env without variables that change the programs' behaviour or the language of their messages.
func environment(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C")
}
