package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store/localpg"
)

const databaseURLFix = "; write postgres://user:password@host:5432/database?sslmode=verify-full " +
	"(of the password, @ / : ? # % as %40 %2F %3A %3F %23 %25), or local"

// adoNet is a connection string as Npgsql takes it. Read as keywords and values, all of it would be the first value.
var adoNet = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z ]*=[^'";]*;\s*[A-Za-z][A-Za-z ]*=`)

// wrongDatabaseURL says what is wrong with a database URL without showing any of it: it may hold a password, and so may
// the parser's errors.
func wrongDatabaseURL(s string) string {
	scheme, rest, isURL := strings.Cut(s, "://")
	isURL = isURL && !strings.Contains(scheme, "=") // else it may be "host=… password=…://…"
	switch {
	case s == LocalDatabase && localpg.Unsupported != "":
		return "local is " + localpg.Unsupported
	case s == LocalDatabase:
		return ""
	case strings.TrimSpace(s) == "":
		return "is empty" + databaseURLFix
	case strings.HasPrefix(scheme, "jdbc:"):
		return "is a URL of JDBC" + databaseURLFix
	case isURL && scheme != "postgres" && scheme != "postgresql":
		return "is not a PostgreSQL URL" + databaseURLFix
	case !isURL && adoNet.MatchString(s):
		return "is a connection string of ADO.NET" + databaseURLFix
	case isURL && cutShort(rest):
		return "has an @ or # after the host, as if its password held a / ? or # that is not escaped" + databaseURLFix
	}
	_, err := pgxpool.ParseConfig(s)
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("names a file that cannot be read: %v; check sslrootcert, sslcert and sslkey", pathError.Err)
	}
	if err != nil {
		return "does not read as a PostgreSQL URL" + databaseURLFix
	}
	return ""
}

// cutShort reports whether a URL's host, without the scheme before it, looks like the beginning of a password, whose
// rest would then be taken for the database or a setting, and shown in errors.
func cutShort(rest string) bool {
	i := strings.IndexAny(rest, "/?#")
	if i < 0 {
		return false
	}
	path, query, _ := strings.Cut(rest[i:], "?")
	if strings.ContainsAny(path, "@#") || strings.Contains(query, "#") {
		return true
	}
	for part := range strings.SplitSeq(query, "&") {
		// In the cloud, the user may be user@server.
		key, _, _ := strings.Cut(part, "=")
		if strings.Contains(part, "@") && key != "user" && key != "password" {
			return true
		}
	}
	return false
}

// holdsPassword matches a URL, or keywords and values, with a password.
var holdsPassword = regexp.MustCompile(`://[^/]*:[^/]*@|(^|[?&\s])password\s*=`)

// sslMode is the setting in a URL, or among keywords and values.
var sslMode = regexp.MustCompile(`(^|[?&\s])sslmode\s*=`)

// databaseInTheClear says how others between here and the database's server could read the connection, or answer in
// its place; "" if they cannot. stated is whether the URL itself says that it may be so.
func databaseInTheClear(databaseURL string) (warning string, stated bool) {
	config, err := pgx.ParseConfig(databaseURL)
	if databaseURL == LocalDatabase || err != nil {
		return "", false
	}
	open := func(host string, c *tls.Config) bool {
		socket := strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@")
		return !socket && !isLoopback(host) && (c == nil || c.InsecureSkipVerify)
	}
	host, isOpen := config.Host, open(config.Host, config.TLSConfig)
	for _, f := range config.Fallbacks {
		if !isOpen && open(f.Host, f.TLSConfig) {
			host, isOpen = f.Host, true
		}
	}
	if !isOpen {
		return "", false
	}
	return fmt.Sprintf("whoever is between here and the database at %s can read the connection or answer in its place, and "+
		"may get the password; add sslmode=verify-full, and sslrootcert=FILE for a certificate authority of your own",
		host), sslMode.MatchString(databaseURL)
}

// warnOfClearDatabase warns of a connection to the database that others could read. If its URL itself says that it may
// be so, that is not for the log: it returns the warning.
func (s *section) warnOfClearDatabase(d Database) (stated string) {
	warning, isStated := databaseInTheClear(d.URL.Reveal())
	switch {
	case isStated:
		return warning
	case warning != "":
		s.doc.warn(position{key: d.From}, "%s", warning)
	}
	return ""
}
