// Package config reads and checks the configuration of partnersync: a YAML file, the secret files that it names, and
// the environment. Load reports every mistake at once, each with its line and a way to fix it:
//
//	c, err := config.Load(config.Options{Path: flag, LookupEnv: os.LookupEnv})
//
// No error or warning ever shows a secret. deploy/partnersync.yaml describes every key and its default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// Config is what the configuration file and the environment say.
type Config struct {
	Path           string // of the file
	Database       Database
	StateDir       string        // where a private server keeps its data
	Schedule       cron.Schedule // of partners without their own; in Timezone
	Timezone       *time.Location
	RunOnStart     bool
	MigrateOnStart bool
	Lease          time.Duration // at least 2s
	KeepRuns       time.Duration // at least a day; 0: forever
	Listen         string        // host:port, or "": do not listen
	// StatusPagePassword lets other machines see the status page; "": they may not.
	StatusPagePassword partnercenter.Secret
	PageURL            string // where people see the status page, such as behind a proxy; "": not known
	CustomerMetrics    bool   // a metric for each customer
	TokenKeyFile       string // age identity that seals the refresh tokens of users
	Partners           []Partner
	Webhooks           []Webhook

	Warnings []string // for the log: what is allowed, but unlikely to be intended
}

// Options say what to load, and what goes before it.
type Options struct {
	Path        string  // of the file, as --config names it; "": it is looked for
	DatabaseURL *string // of --database-url; nil: not given
	LookupEnv   func(string) (string, bool)
	// Needs are the keys whose values are needed; nil: all. Of the others a variable may be unset and a file missing,
	// and no secret is read.
	Needs []string
}

// What commands need that make no pass.
var (
	NeedsDatabase = []string{databaseKey, databaseFileKey, "state_dir"}
	NeedsListen   = []string{"listen"}
	NeedsPartners = []string{"name"}
)

// pathVariable is the environment variable that names the configuration file.
const pathVariable = "PARTNERSYNC_CONFIG"

// places are where the configuration file is looked for if nothing names it.
var places = []string{"partnersync.yaml", "/etc/partnersync/partnersync.yaml"}

// Error holds every mistake of a configuration, in the order of the file, and never a secret.
type Error struct {
	Mistakes []string // each "file:line:column: key: what is wrong; the fix"
}

// Error returns the mistakes, one per line.
func (e *Error) Error() string { return strings.Join(e.Mistakes, "\n") }

// Load reads the configuration file that the --config flag names, else PARTNERSYNC_CONFIG, else the first that is there
// of partnersync.yaml and /etc/partnersync/partnersync.yaml. Where a database is needed and no file is there, nor named
// by the flag, the database that the options or the environment name is enough, and the result has no partners. Its error
// is an *Error.
func Load(o Options) (*Config, error) {
	path, chosenBy := find(o, places)
	doc := &document{Options: o, path: path}
	text, err := partnercenter.ReadSecretFile(path) // as which it may hold secrets, and may come from Windows
	var c *Config
	switch {
	case err == nil:
		if top, ok := doc.parse(text); ok {
			c = top.config()
		}
	case errors.Is(err, fs.ErrNotExist) && o.enough():
		c = doc.section(nil, position{}).settings()
	default:
		return nil, unreadable(path, chosenBy, err)
	}
	if err := doc.err(); err != nil {
		return nil, err
	}
	c.Warnings = doc.lines(doc.warnings)
	return c, nil
}

// enough reports whether no file is needed.
func (o Options) enough() bool {
	fromEnv, _ := o.LookupEnv(databaseVariable)
	return o.Path == "" && slices.Contains(o.Needs, databaseKey) && (o.DatabaseURL != nil || fromEnv != "")
}

// find returns the path of the configuration file and what chose it.
func find(o Options, places []string) (path, chosenBy string) {
	if o.Path != "" {
		return o.Path, "--config"
	}
	if path, _ := o.LookupEnv(pathVariable); path != "" {
		return path, pathVariable
	}
	for _, path := range places {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, "default"
		}
	}
	return strings.Join(places, " or "), "default"
}

func unreadable(path, chosenBy string, err error) error {
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "there is no such file; begin with a copy of deploy/partnersync.yaml, and name it by --config or " +
			pathVariable
	}
	return &Error{
		Mistakes: []string{fmt.Sprintf("reading the configuration %s (chosen by %s): %s", path, chosenBy, reason)},
	}
}

// config reads the whole file.
func (s *section) config() *Config {
	c := s.settings()
	c.Path = s.doc.path
	c.Partners = s.partners("partners", c)
	c.Webhooks = s.webhooks("notify", c.Partners)
	s.warnOfExposure(c)
	s.finish()
	return c
}

// settings reads everything but partners and webhooks.
func (s *section) settings() *Config {
	c := &Config{
		StateDir:       s.text("state_dir", ".partnersync"),
		Timezone:       s.timezone("timezone"),
		RunOnStart:     s.boolean("run_on_start", true),
		MigrateOnStart: s.boolean("migrate_on_start", true),
		Lease:          s.duration("lease", time.Minute, 2*time.Second),
		KeepRuns:       s.keepRuns("keep_runs"),
		Listen:         s.listenAddress("listen", "127.0.0.1:9470"),
		TokenKeyFile:   s.tokenKeyFile("token_key_file"),

		StatusPagePassword: s.passwordFile("status_page_password_file"),
		PageURL:            s.pageURL("page_url"),
		CustomerMetrics:    s.boolean("customer_metrics", false),
	}
	c.Database = s.database(c.StateDir)
	c.Database.Warning = s.warnOfClearDatabase(c.Database)
	everyQuarter, _ := cron.Parse("*/15 * * * *", c.Timezone) // a constant, which is valid
	c.Schedule = s.schedule("schedule", everyQuarter, c.Timezone)
	return c
}
