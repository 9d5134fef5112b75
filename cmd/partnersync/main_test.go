package main

import (
	"fmt"
	"net/http/httptest"
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

func TestMain(m *testing.M) {
	testscript.Main(withDatabases{m}, map[string]func(){"partnersync": main, "peak": peak, "bench-emulator": benchEmulator})
}

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
			"logged":    loggedCommand,
			"page":      pageCommand,
			"signin":    signinCommand,
			"sql":       sqlCommand,
			"terminate": terminateCommand,
			"until":     untilCommand,
		},
	})
}

// Secrets of the scripts have a mark in them, by which they are found wherever they come to light.
const (
	mark         = "hush-"
	clientSecret = mark + "client"
	password     = mark + "database"
)

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

// world is what a script has of its own.
type world struct {
	t    *testing.T
	api  *partnercentertest.Emulator
	pool *pgxpool.Pool // of its database
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

// defaultConfig is the partnersync.yaml of a script that brings none.
const defaultConfig = `partners:
  - name: contoso
    tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: ${CLIENT_SECRET}
    api_url: ${API_URL}
    authority_url: ${API_URL}
`

// environment is what the program sees of one in tests that run it in this process.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	text, ok := e[name]
	return text, ok
}

// withoutServers is an environment for defaultConfig in which neither the database nor the API answers.
func withoutServers() environment {
	const nothing = "127.0.0.1:1" // nothing listens there
	return environment{
		"DATABASE_URL": "postgres://" + nothing + "/none", "API_URL": "http://" + nothing, "CLIENT_SECRET": clientSecret,
	}
}

// setUp gives a script an emulated API at $API_URL, an empty database at $DATABASE_URL and a configuration for both.
func setUp(env *testscript.Env) error {
	t := env.T().(scriptT)
	w := &world{t: t.T, api: partnercentertest.New(partnercentertest.Options{ClientSecret: clientSecret, DeviceInterval: time.Second})}
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	db := storetest.Empty(t)
	w.pool = db.Pool
	env.Values["world"] = w
	if err := setDatabaseURLs(env, db); err != nil {
		return err
	}
	env.Setenv("API_URL", server.URL)
	env.Setenv("CLIENT_SECRET", clientSecret)
	env.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=10") // not a second for each program
	config := filepath.Join(env.WorkDir, "partnersync.yaml")
	if _, err := os.Stat(config); err == nil {
		return nil
	}
	return os.WriteFile(config, []byte(defaultConfig), 0o600)
}

// setDatabaseURLs sets $DATABASE_URL, and $LATER_DATABASE_URL with the name $LATER_DATABASE in it: a database that a script
// may make. Both have a password, which a server that asks for none ignores, so that it could come to light.
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
