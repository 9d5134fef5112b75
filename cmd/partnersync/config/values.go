package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may lack the time zone database

	"partnersync/store/cron"
)

// timezone reads the IANA name of a time zone; UTC if there is none.
func (s *section) timezone(key string) *time.Location {
	v, ok := s.scalar(key)
	if !ok {
		return time.UTC
	}
	loc, err := time.LoadLocation(v.text)
	// The machine's own zone would give replicas different ticks.
	if err != nil || v.text == "" || loc == time.Local {
		v.wrong("%s is not a time zone; write an IANA name such as UTC or Europe/Berlin", v)
		return time.UTC
	}
	return loc
}

// schedule reads a schedule with times in the given zone.
func (s *section) schedule(key string, inherited cron.Schedule, loc *time.Location) cron.Schedule {
	v, ok := s.scalar(key)
	if !ok {
		return inherited
	}
	schedule, err := cron.Parse(v.text, loc)
	switch {
	case err == nil:
		return schedule
	case v.text == v.raw:
		v.wrong("%v", err)
	default: // err quotes a value from the environment
		v.wrong(`%s holds no schedule; set one such as "*/15 * * * *", @hourly or @every 15m`, v)
	}
	return inherited
}

// keepRuns reads how long runs are kept; 0 is forever. A backfill can be resumed for a day, so its run must be kept for
// at least as long.
func (s *section) keepRuns(key string) time.Duration {
	const day = 24 * time.Hour
	kept := s.duration(key, 400*day, 0)
	if kept > 0 && kept < day {
		v, _ := s.scalar(key)
		v.wrong("%s is too short; write at least 1d, or 0 to keep all runs", v)
	}
	return kept
}

// listenAddress reads host:port, or "".
func (s *section) listenAddress(key, fallback string) string {
	v, ok := s.scalar(key)
	if !ok {
		return fallback
	}
	_, port, err := net.SplitHostPort(v.text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if v.text != "" && err != nil {
		v.wrong(`%s is not host:port; write one such as 127.0.0.1:9470, or "" to listen nowhere`, v)
	}
	return v.text
}

// baseURL reads the URL below which a server answers; "" if there is none. inClear is the warning for one that others
// can overhear. Messages do not show the URL: it may hold credentials.
func (s *section) baseURL(key, example, inClear string) string {
	v, ok := s.scalar(key)
	if !ok {
		return ""
	}
	u, err := url.Parse(v.text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		v.wrong("is not an absolute http or https URL; write one such as %s", example)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		v.wrong("is more than a base URL; leave out user, password, ?query and #fragment")
	case inTheClear(u):
		v.warn("%s", inClear)
	}
	return v.text
}

// apiURL reads the URL of Partner Center or its authority, or of what stands in for them.
func (s *section) apiURL(key string) string {
	return s.baseURL(key, "https://proxy.example.com/partnercenter", clearWarning)
}

const clearWarning = "http:// off this machine sends secrets and tokens in the clear; use https://"

// pageURL reads the URL under which people see the status page.
func (s *section) pageURL(key string) string {
	return s.baseURL(key, "https://partnersync.example.com",
		"http:// off this machine sends the page and its password in the clear; put a proxy with TLS before it")
}

// inTheClear reports whether others can read what is sent to the URL.
func inTheClear(u *url.URL) bool { return u.Scheme == "http" && !isLoopback(u.Hostname()) }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// environmentName is what ${NAME} may name.
var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// unsetError is the error of a value that names variables which the environment does not set.
type unsetError []string

// Error names the variables, and says what to do.
func (e unsetError) Error() string {
	return fmt.Sprintf("the environment does not set %s; set it there, or write $${ for a plain ${",
		strings.Join(e, ", "))
}

// expand replaces ${NAME} from the environment and $$ by $. Its error shows nothing of s but the names of variables.
func expand(s string, lookupEnv func(string) (string, bool)) (string, error) {
	var expanded strings.Builder
	var unset unsetError
	for {
		before, after, found := strings.Cut(s, "$")
		expanded.WriteString(before)
		switch {
		case !found && len(unset) > 0:
			return "", unset
		case !found:
			return expanded.String(), nil
		case strings.HasPrefix(after, "$"):
			expanded.WriteByte('$')
			s = after[1:]
		case strings.HasPrefix(after, "{"):
			name, rest, closed := strings.Cut(after[1:], "}")
			if !closed || !environmentName.MatchString(name) {
				return "", errors.New("has a ${ without the name of an environment variable and }; " +
					"write ${NAME}, or $${ for a plain ${")
			}
			text, set := lookupEnv(name)
			if !set {
				unset = append(unset, "${"+name+"}")
			}
			expanded.WriteString(text)
			s = rest
		default:
			expanded.WriteByte('$')
			s = after
		}
	}
}
