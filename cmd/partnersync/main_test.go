package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rogpeppe/go-internal/testscript"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// programs are what tests run, by name; some are for Unix alone.
var programs = map[string]func(){"partnersync": main, "bench-emulator": benchEmulator}

func TestMain(m *testing.M) { testscript.Main(withDatabases{m}, programs) }

// withDatabases runs the tests with databases to be had from storetest.
type withDatabases struct{ m *testing.M }

func (w withDatabases) Run() int { return storetest.Run(w.m) }

// TestScript runs the scripts in testdata/script: one for each behaviour of the command line.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.RunT(scriptT{t}, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               setUp,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"api":       apiCommand,
			"exits":     exitsCommand,
			"hangup":    hangupCommand,
			"logged":    loggedCommand,
			"page":      pageCommand,
			"signin":    signinCommand,
			"sql":       sqlCommand,
			"terminate": terminateCommand,
			"until":     untilCommand,
		},
	})
}

// scriptT is a T for testscript that looks for secrets in what a script's programs have printed.
type scriptT struct{ *testing.T }

func (t scriptT) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(scriptT{t}) })
}

// Verbose makes testscript keep the output of all commands for Log.
func (t scriptT) Verbose() bool { return true }

func (t scriptT) Log(args ...any) {
	transcript := fmt.Sprint(args...)
	if environment, rest, ok := strings.Cut(transcript, "\n\n"); ok && strings.HasPrefix(environment, "WORK=") {
		transcript = rest
	}
	if strings.Contains(transcript, mark) {
		t.Error("a secret was printed: look for " + mark)
	}
	if tokenLike.MatchString(transcript) {
		t.Errorf("a token or a key was printed: look for %s", tokenLike)
	}
	t.T.Log(transcript)
}

// scriptWorld is the world of a script, and its database.
type scriptWorld struct {
	*world
	pool *pgxpool.Pool
}

func worldOf(ts *testscript.TestScript) *scriptWorld { return ts.Value("world").(*scriptWorld) }

// setUp gives a script an emulated API at $API_URL, an empty database at $DATABASE_URL and a configuration for both.
func setUp(env *testscript.Env) error {
	t := env.T().(scriptT)
	db := storetest.Empty(t)
	w := &scriptWorld{newWorld(t.T, db.URL, "", partnercentertest.Options{DeviceInterval: time.Second}), db.Pool}
	env.Values["world"] = w
	if err := setDatabaseURLs(env, db); err != nil {
		return err
	}
	env.Setenv("API_URL", w.env["API_URL"])
	env.Setenv("CLIENT_SECRET", clientSecret)
	env.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=10") // not a second for each program
	config := filepath.Join(env.WorkDir, "partnersync.yaml")
	if _, err := os.Stat(config); err == nil {
		return nil
	}
	return os.WriteFile(config, []byte(defaultConfig), 0o600)
}

// setDatabaseURLs sets $DATABASE_URL, and $LATER_DATABASE_URL with the name $LATER_DATABASE in it: a database that a
// script may make. Both have a password, which a server that asks for none ignores, so that it could come to light.
func setDatabaseURLs(env *testscript.Env, db *storetest.DB) error {
	u, err := url.Parse(db.URL)
	if err != nil {
		return err
	}
	if _, has := u.User.Password(); !has {
		u.User = url.UserPassword(u.User.Username(), password)
	}
	env.Setenv("DATABASE_URL", u.String())
	u.Path += "_later"
	env.Setenv("LATER_DATABASE_URL", u.String())
	later := strings.TrimPrefix(u.Path, "/")
	env.Setenv("LATER_DATABASE", later)
	env.Defer(func() {
		t := env.T().(scriptT)
		if _, err := db.Pool.Exec(t.Context(), "DROP DATABASE IF EXISTS "+later+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return nil
}
