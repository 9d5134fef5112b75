package config

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"partnersync/store/sanitize"
	"partnersync/sync/partnercenter"
)

// What names the database, besides --database-url.
const (
	databaseVariable = "DATABASE_URL" // in the environment
	databaseKey      = "database_url"
	databaseFileKey  = "database_url_file"
)

// LocalDatabase is the database URL that asks for a private server.
const LocalDatabase = "local"

// Database is the one to use, as --database-url names it, else DATABASE_URL in the environment, else the configuration
// file.
type Database struct {
	URL  partnercenter.Secret // of PostgreSQL, or LocalDatabase
	File string               // holds the URL, and is read again for each connection; "": the URL stays as it is
	// Host and Name are where it is and what it is called, for people.
	Host, Name string
	// From says what names it.
	From string
	// Doubt says why a command that cannot ask must not destroy anything there: the environment goes before the file,
	// which names another database. "": there is no doubt.
	Doubt string
	// Warning is of a connection that others could read, where the URL itself allows it; "": there is none. It is for
	// those who ask, not for the log.
	Warning string
}

// String says which database it is, and what names it.
func (d Database) String() string { return d.where() + ", named by " + sanitize.Line(d.From) }

func (d Database) where() string {
	return fmt.Sprintf("database %s on %s", sanitize.Line(d.Name), sanitize.Line(d.Host))
}

// Local reports whether it is on a private server.
func (d Database) Local() bool { return d.URL.Reveal() == LocalDatabase }

// ReadURL returns the URL as it is now: that of the file, if the configuration names one. Its errors show nothing of
// what is in the file.
func (d Database) ReadURL() (string, error) {
	if d.File == "" {
		return d.URL.Reveal(), nil
	}
	text, err := partnercenter.ReadSecretFile(d.File)
	if err != nil {
		return "", fmt.Errorf("reading database_url_file: %w", err)
	}
	url := strings.TrimSpace(text)
	if wrong := wrongDatabaseURL(url); wrong != "" {
		return "", fmt.Errorf("reading database_url_file: it %s", wrong)
	}
	return url, nil
}

// database chooses the database. The file is read whatever goes before it, since a mistake in it is one all the same;
// but what it needs of the environment, or of another file, may then be missing.
func (s *section) database(stateDir string) Database {
	chosen := s.databaseBeforeFile()
	s.doc.databaseChosen = chosen.From != ""
	inFile := s.databaseInFile()
	for _, d := range []*Database{&chosen, &inFile} {
		d.Host, d.Name = describe(d.URL.Reveal(), stateDir)
	}
	switch {
	case chosen.From == "":
		return inFile
	case s.doc.DatabaseURL == nil && inFile.From != "" && (inFile.URL == "" || inFile.where() != chosen.where()):
		other := inFile.where()
		if inFile.URL == "" {
			other = "one that cannot be told here"
		}
		chosen.Doubt = fmt.Sprintf("%s names %s, and %s names %s: say by --database-url which one",
			chosen.From, chosen.where(), inFile.From, other)
		s.doc.warn(position{}, "%s", chosen.Doubt)
	}
	return chosen
}

// databaseBeforeFile returns the database of the flag or of the environment.
func (s *section) databaseBeforeFile() (d Database) {
	if s.doc.DatabaseURL != nil {
		d = Database{URL: partnercenter.Secret(*s.doc.DatabaseURL), From: "--database-url"}
	} else if url := s.environment(databaseVariable); url != "" {
		d = Database{URL: partnercenter.Secret(url), From: databaseVariable + " in the environment"}
	}
	if d.From != "" {
		if wrong := wrongDatabaseURL(d.URL.Reveal()); wrong != "" {
			s.doc.mistake(position{key: d.From}, "%s", wrong)
		}
	}
	return d
}

// databaseInFile returns the database of the configuration file, whose URL is "" if that cannot be told. That there is
// none is a mistake if it is needed.
func (s *section) databaseInFile() (d Database) {
	hasURL, hasFile := s.has(databaseKey), s.has(databaseFileKey)
	key := databaseKey
	switch {
	case !hasURL && !hasFile && s.doc.needed(key):
		s.missing(key, "write it, or set "+databaseVariable+" in the environment")
		return d
	case !hasURL && !hasFile:
		return d
	case hasURL && hasFile:
		s.doc.mistake(s.entries[databaseFileKey].position, "is there beside %s; remove one of them", databaseKey)
		return d
	case hasFile:
		key = databaseFileKey
	}
	d.From = key + " in " + s.doc.path
	v, ok := s.scalar(key)
	if !ok {
		return d
	}
	text := v.text
	if hasFile {
		d.File = v.text
		if text, ok = v.secretFile("put the database's URL there"); !ok {
			return d
		}
		text = strings.TrimSpace(text)
	}
	if wrong := wrongDatabaseURL(text); wrong != "" {
		v.wrong("%s", wrong)
	}
	if !hasFile && holdsPassword.MatchString(text) {
		v.isSecret()
	}
	d.URL = partnercenter.Secret(text)
	return d
}

// describe returns where the database of a URL is and what it is called. Nothing is shown of a wrong one, whose host
// could be part of a password.
func describe(url, stateDir string) (host, name string) {
	const hidden = "(not shown)"
	if url == LocalDatabase {
		if absolute, err := filepath.Abs(stateDir); err == nil {
			stateDir = absolute
		}
		return "a private server in " + stateDir, "postgres"
	}
	c, err := pgconn.ParseConfig(url)
	if err != nil || wrongDatabaseURL(url) != "" {
		return hidden, hidden
	}
	hosts := []string{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	return strings.Join(slices.Compact(hosts), ","), cmp.Or(c.Database, c.User)
}
