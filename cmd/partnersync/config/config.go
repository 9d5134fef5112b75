// Package config reads and checks the configuration of partnersync: a YAML file, the secret files that it names, and
// the environment. Load reports every mistake at once, each with its line and a way to fix it:
//
//	c, err := config.Load(flag, os.LookupEnv)
//
// No error or warning ever shows a secret. deploy/partnersync.yaml describes every key and its default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// Config is what the configuration file and the environment say.
type Config struct {
	Path        string               // of the file
	DatabaseURL partnercenter.Secret // of PostgreSQL, or LocalDatabase
	// DatabaseURLFile holds the URL, and is read again for each connection; "": the URL stays as it is.
	DatabaseURLFile string
	StateDir        string        // where a private server keeps its data
	Schedule        cron.Schedule // of partners without their own; in Timezone
	Timezone        *time.Location
	RunOnStart      bool
	MigrateOnStart  bool
	Lease           time.Duration // at least 2s
	KeepRuns        time.Duration // at least a day; 0: forever
	Listen          string        // host:port, or "": do not listen
	// StatusPagePassword lets other machines see the status page; "": they may not.
	StatusPagePassword partnercenter.Secret
	PageURL            string // where people see the status page, such as behind a proxy; "": not known
	CustomerMetrics    bool   // a metric for each customer
	TokenKeyFile       string // age identity that seals the refresh tokens of users
	Partners           []Partner
	Webhooks           []Webhook

	Warnings []string // for the log: what is allowed, but unlikely to be intended
}

// ReadDatabaseURL returns the database URL as it is now: that of the file, if the configuration names one. Its errors show
// nothing of what is in the file.
func (c *Config) ReadDatabaseURL() (string, error) {
	if c.DatabaseURLFile == "" {
		return c.DatabaseURL.Reveal(), nil
	}
	data, err := ReadSecretFile(c.DatabaseURLFile)
	if err != nil {
		return "", fmt.Errorf("reading database_url_file: %w", err)
	}
	url := strings.TrimSpace(string(data))
	if wrong := wrongDatabaseURL(url); wrong != "" {
		return "", fmt.Errorf("reading database_url_file: it %s", wrong)
	}
	return url, nil
}

// LocalDatabase is the database URL that asks for a private server.
const LocalDatabase = "local"

// pathVariable is the environment variable that names the configuration file.
const pathVariable = "PARTNERSYNC_CONFIG"

// Error holds every mistake of a configuration, in the order of the file, and never a secret.
type Error struct {
	Mistakes []string // each "file:line:column: key: what is wrong; the fix"
	cause    error    // why the file could not be read, if that is the mistake
}

// Error returns the mistakes, one per line.
func (e *Error) Error() string { return strings.Join(e.Mistakes, "\n") }

// Unwrap returns why the file could not be read, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Load reads the configuration file that the --config flag names, else PARTNERSYNC_CONFIG, else partnersync.yaml. Its
// error is an *Error.
func Load(flag string, lookupEnv func(string) (string, bool)) (*Config, error) {
	path, chosenBy := find(flag, lookupEnv)
	data, err := readAtMost(path, 1<<20)
	if err != nil {
		return nil, unreadable(path, chosenBy, err)
	}
	doc := &document{path: path, lookupEnv: lookupEnv}
	var c *Config
	if top, ok := doc.parse(data); ok {
		c = top.config()
	}
	if err := doc.err(); err != nil {
		return nil, err
	}
	c.Warnings = doc.lines(doc.warnings)
	return c, nil
}

// LoadDatabase is Load for commands that need only a database: if there is no file, and the flag does not name one,
// DATABASE_URL in the environment is enough. The result then has no partners.
func LoadDatabase(flag string, lookupEnv func(string) (string, bool)) (*Config, error) {
	c, err := Load(flag, lookupEnv)
	if flag != "" || !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	if databaseURL, _ := lookupEnv("DATABASE_URL"); databaseURL == "" {
		return nil, err
	}
	doc := &document{lookupEnv: lookupEnv}
	c = doc.section(nil, position{}).settings()
	if err := doc.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// find returns the path of the configuration file and what named it.
func find(flag string, lookupEnv func(string) (string, bool)) (path, chosenBy string) {
	if flag != "" {
		return flag, "--config"
	}
	if path, _ := lookupEnv(pathVariable); path != "" {
		return path, pathVariable
	}
	return "partnersync.yaml", "default"
}

func unreadable(path, chosenBy string, err error) error {
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "there is no such file; begin with a copy of deploy/partnersync.yaml, and name it by --config or " +
			pathVariable
	}
	return &Error{
		Mistakes: []string{fmt.Sprintf("reading the configuration %s (chosen by %s): %s", path, chosenBy, reason)},
		cause:    err,
	}
}

// config reads the whole file.
func (s *section) config() *Config {
	c := s.settings()
	c.Path = s.doc.path
	c.Partners = s.partners("partners", c)
	c.Webhooks = s.webhooks("notify", c.Partners)
	s.finish()
	return c
}

// settings reads everything but partners and webhooks.
func (s *section) settings() *Config {
	url, urlFile := s.databaseURL("database_url", "database_url_file")
	c := &Config{
		DatabaseURL: url, DatabaseURLFile: urlFile,
		StateDir:       s.text("state_dir", ".partnersync"),
		Timezone:       s.timezone("timezone"),
		RunOnStart:     s.boolean("run_on_start", true),
		MigrateOnStart: s.boolean("migrate_on_start", true),
		Lease:          s.duration("lease", time.Minute, 2*time.Second),
		KeepRuns:       s.keepRuns("keep_runs"),
		Listen:         s.listenAddress("listen", "127.0.0.1:9470"),
		TokenKeyFile:   s.text("token_key_file", "partnersync.key"),

		StatusPagePassword: s.passwordFile("status_page_password_file"),
		PageURL:            s.pageURL("page_url"),
		CustomerMetrics:    s.boolean("customer_metrics", false),
	}
	everyQuarter, _ := cron.Parse("*/15 * * * *", c.Timezone) // a constant, which is valid
	c.Schedule = s.schedule("schedule", everyQuarter, c.Timezone)
	return c
}
