package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// config is what the configuration file and the environment say.
type config struct {
	DatabaseURL    partnercenter.Secret // of PostgreSQL, or localDatabase
	StateDir       string               // where a private server keeps its data
	Schedule       cron.Schedule        // of partners without their own; in Timezone
	Timezone       *time.Location
	RunOnStart     bool
	MigrateOnStart bool
	Lease          time.Duration // at least 2s
	KeepRuns       time.Duration // at least a day; 0: for ever
	Listen         string        // host:port, or "": do not listen
	// StatusPagePassword shows the status page to other machines too; "": not.
	StatusPagePassword partnercenter.Secret
	CustomerMetrics    bool   // a metric for each customer
	TokenKeyFile       string // age identity that seals the refresh tokens of users
	Partners           []partnerConfig
	Notify             []notifyConfig

	Warnings []string // for the log: what is allowed, but hardly meant
}

// localDatabase is the database_url that means a private server.
const localDatabase = "local"

// The ways in which a configuration file is chosen.
const (
	byFlag        = "--config"
	byEnvironment = "PARTNERSYNC_CONFIG"
	byDefault     = "default"
)

// findConfig returns the path of the configuration file and what chose it: the --config flag, else
// PARTNERSYNC_CONFIG, else the default.
func findConfig(flag string, lookupEnv func(string) (string, bool)) (path, chosenBy string) {
	if flag != "" {
		return flag, byFlag
	}
	if path, _ := lookupEnv(byEnvironment); path != "" {
		return path, byEnvironment
	}
	return "partnersync.yaml", byDefault
}

// configError holds every mistake of a configuration, in the order of the file. It never holds a secret.
type configError struct {
	mistakes []string // each "file:line:column: key: what is wrong; the fix"
	cause    error    // why the file could not be read, if that is the mistake
}

func (e *configError) Error() string { return strings.Join(e.mistakes, "\n") }

func (e *configError) Unwrap() error { return e.cause }

// loadConfig reads the configuration file at the path that findConfig found. Its error is a *configError.
func loadConfig(path, chosenBy string, lookupEnv func(string) (string, bool)) (*config, error) {
	doc := &document{path: path, lookupEnv: lookupEnv}
	data, err := readAtMost(path, 1<<20)
	if err != nil {
		return nil, unreadableConfig(path, chosenBy, err)
	}
	var c *config
	if top, ok := doc.parse(data); ok {
		c = top.config()
	}
	if len(doc.mistakes) > 0 {
		return nil, &configError{mistakes: doc.lines(doc.mistakes)}
	}
	c.Warnings = doc.lines(doc.warnings)
	return c, nil
}

func unreadableConfig(path, chosenBy string, err error) error {
	const fix = "begin with a copy of deploy/partnersync.yaml, and name it by --config or PARTNERSYNC_CONFIG"
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "there is no such file; " + fix
	}
	return &configError{
		mistakes: []string{fmt.Sprintf("reading the configuration %s (chosen by %s): %s", path, chosenBy, reason)},
		cause:    err,
	}
}

// loadDatabaseConfig is loadConfig for the commands that only need a database: where there is no file, but for one
// that --config names, the environment's DATABASE_URL is enough.
func loadDatabaseConfig(path, chosenBy string, lookupEnv func(string) (string, bool)) (*config, error) {
	c, err := loadConfig(path, chosenBy, lookupEnv)
	if chosenBy == byFlag || !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	if databaseURL, _ := lookupEnv("DATABASE_URL"); databaseURL == "" {
		return nil, err
	}
	doc := &document{path: path, lookupEnv: lookupEnv}
	c = doc.section(nil, place{}).settings()
	if len(doc.mistakes) > 0 {
		return nil, &configError{mistakes: doc.lines(doc.mistakes)}
	}
	return c, nil
}

// config reads the whole file.
func (s *section) config() *config {
	c := s.settings()
	c.Partners = s.partners("partners", c)
	c.Notify = s.notify("notify", c.Partners)
	s.finish()
	return c
}

// settings reads everything but the partners.
func (s *section) settings() *config {
	c := &config{
		DatabaseURL:    s.databaseURL("database_url"),
		StateDir:       s.text("state_dir", ".partnersync"),
		Timezone:       s.timezone("timezone"),
		RunOnStart:     s.flag("run_on_start", true),
		MigrateOnStart: s.flag("migrate_on_start", true),
		Lease:          s.duration("lease", time.Minute, 2*time.Second),
		KeepRuns:       s.keepRuns("keep_runs"),
		Listen:         s.listenAddress("listen", "127.0.0.1:9470"),
		TokenKeyFile:   s.text("token_key_file", "partnersync.key"),

		StatusPagePassword: s.passwordFile("status_page_password_file"),
		CustomerMetrics:    s.flag("customer_metrics", false),
	}
	everyQuarter, _ := cron.Parse("*/15 * * * *", c.Timezone) // it parses
	c.Schedule = s.schedule("schedule", everyQuarter, c.Timezone)
	return c
}
