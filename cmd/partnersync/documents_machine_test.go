//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

var machineRoot = flag.String("machine", "",
	"directory of a Debian with systemd, sudo and PostgreSQL, to run commands on")

func init() { programs["machine-emulator"] = machineEmulator }

// machineEmulator serves the emulated API of a machine, and writes a user's refresh token to the file.
func machineEmulator() {
	api := partnercentertest.New(partnercentertest.Options{Start: time.Now()})
	api.Seed(partnercentertest.SeedOptions{Customers: 2, Batches: 2, Devices: 2, Seed: 1})
	err := os.WriteFile(os.Args[1], []byte(api.RefreshToken("sales@contoso.example", true)+"\n"), 0o644)
	if err == nil {
		err = http.ListenAndServe("127.0.0.1:8470", api)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// machine is a container with systemd as its first process. Nothing of what is done there stays.
type machine struct {
	t      *testing.T
	leader string // process id
}

// newMachine starts a machine whose /srv/given is the directory.
func newMachine(t *testing.T, root, given string) *machine {
	t.Helper()
	console, err := os.Create(filepath.Join(given, "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	cmd := exec.Command("systemd-nspawn", "--quiet", "--directory="+root, "--boot", "--register=no", "--keep-unit",
		"--private-network", "--volatile=overlay", "--bind-ro="+given+":/srv/given")
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // by a signal
	})
	m := &machine{t: t}
	storetest.Eventually(t, func() (string, bool) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		m.leader = strings.TrimSpace(string(children))
		if err != nil || m.leader == "" {
			return "no process in it yet", false
		}
		state, _ := m.command(t.Context(), "root", "systemctl is-system-running").Output()
		got := strings.TrimSpace(string(state))
		return got, got == "running" || got == "degraded"
	})
	return m
}

// command is a script of bash's that a user runs there, at home.
func (m *machine) command(ctx context.Context, user, script string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", "--target="+m.leader, "--mount", "--uts", "--ipc", "--net", "--pid",
		"--cgroup", "--root", "--wd=/", "env", "-i", "TERM=dumb",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "su", "--login", user, "--command", script)
}

// does runs the script, which must succeed.
func (m *machine) does(user, script string) string {
	m.t.Helper()
	output, err := m.command(m.t.Context(), user, "exec bash -c "+quoted(script)).CombinedOutput()
	if err != nil {
		m.t.Errorf("%v\n%s", err, output)
	}
	return string(output)
}

// machineConfig is what the one who installs partnersync writes into its configuration.
const machineConfig = `database_url: postgres:///partnersync?host=/run/postgresql&user=partnersync
partners:
  - name: contoso
    tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    api_url: http://127.0.0.1:8470
    authority_url: http://127.0.0.1:8470
`

// TestDocuments_onAMachine does what the documents say as one who has just got a machine, and then lets the service
// crash.
func TestDocuments_onAMachine(t *testing.T) {
	t.Parallel()
	if *machineRoot == "" {
		t.Skip("allowed: it takes a Debian in a directory: deploy/test --machine")
	}
	given := t.TempDir()
	if err := os.Chmod(given, 0o755); err != nil {
		t.Fatal(err)
	}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"../../deploy/build", filepath.Join(given, "release")},
		{"cp", me, filepath.Join(given, "machine-emulator")}} {
		if output, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	secret := "    client_secret_file: ${CREDENTIALS_DIRECTORY}/partnersync_contoso\n"
	configs := map[string]string{"app": machineConfig + secret, "user": machineConfig + "    app_user: true\n"}
	for name, text := range configs {
		if err := os.WriteFile(filepath.Join(given, name+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := newMachine(t, *machineRoot, given)
	m.does("root", `echo "127.0.1.1 $(hostname)" >>/etc/hosts
ln -s /srv/given/release /tmp/release
useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
printf '#!/bin/sh\nexec cp /srv/given/app.yaml "$1"\n' >/usr/local/bin/editor
chmod +x /usr/local/bin/editor
mkdir /run/emulator
systemd-run --quiet --unit=emulator /srv/given/machine-emulator /run/emulator/token.txt`)
	prepare := map[string]string{
		onMachine: "",
		onMachineFiles: `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout k -out c 2>/dev/null
openssl pkcs12 -export -inkey k -in c -out contoso.pfx -passout pass:emulator-secret
openssl rsa -aes256 -in k -out encrypted.key -passout pass:emulator-secret`,
		onMachineForUser: `sudo cp /srv/given/user.yaml /etc/partnersync/partnersync.yaml
cp /run/emulator/token.txt .`,
	}
	// As they are read: first how it is installed.
	for _, document := range []string{"install.md", "webhooks.md", "sign-in.md"} {
		for _, b := range blocksToRun(t, onMachine, onMachineFiles, onMachineForUser) {
			if b.document != document {
				continue
			}
			before := t.Failed()
			output := m.does("admin", prepare[b.where]+"\n"+b.script(partnercentertest.DefaultClientSecret))
			if t.Failed() && !before {
				t.Errorf("%s:%d", b.document, b.line)
			}
			t.Logf("%s:%d\n%s", b.document, b.line, output)
		}
	}
	m.does("root", "cp /srv/given/app.yaml /etc/partnersync/partnersync.yaml; "+
		"systemctl disable --now partnersync-once.timer; systemctl enable --now partnersync")
	m.crashes()
}

// crashes lets the service crash in every way, and looks whether it comes back.
func (m *machine) crashes() {
	m.t.Helper()
	m.does("root", `mkdir -p /etc/systemd/system/partnersync.service.d
printf '[Service]\nWatchdogSec=4s\nRestartSec=100ms\n' >/etc/systemd/system/partnersync.service.d/fast.conf
systemctl daemon-reload; systemctl restart partnersync`)
	pid := func() string {
		return strings.TrimSpace(m.does("root",
			"systemctl is-active --quiet partnersync && systemctl show -P MainPID partnersync || echo 0"))
	}
	for _, signal := range []string{"ABRT", "QUIT", "KILL", "STOP"} {
		was := pid()
		m.does("root", "kill -"+signal+" "+was)
		storetest.Eventually(m.t, func() (string, bool) {
			now := pid()
			return now + " after SIG" + signal, now != "0" && now != was
		})
	}
	m.does("root", `echo bogus: 1 >>/etc/partnersync/partnersync.yaml
systemctl reset-failed partnersync; systemctl restart partnersync || true`)
	storetest.Eventually(m.t, func() (string, bool) {
		state := m.does("root",
			"for of in ActiveState ExecMainStatus NRestarts; do systemctl show -P $of partnersync; done")
		return state, state == "failed\n2\n0\n"
	})
}
