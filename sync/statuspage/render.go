package statuspage

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partnersync/store/cron"
	"partnersync/store/report"
	"partnersync/store/sanitize"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticDir embed.FS

// parsePages reads the templates. Each page is one that uses layout.html's head and foot.
func parsePages(version string) *template.Template {
	funcs := template.FuncMap{
		"version": func() string { return version },
		"static":  staticPath,
		"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"short":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"day":     func(t time.Time) string { return t.UTC().Format("2 Jan") },
		"span":    cron.FormatDuration,
		"class":   statusClass,
		"word":    statusWord,
		"count":   countAny,
		"plural":  counted,
		"orID":    orID,
		"batch":   batchName,
		"text":    text,
	}
	return template.Must(template.New("").Funcs(funcs).ParseFS(templateFiles, "templates/*.html"))
}

// staticPath returns the path of a file below the root, which changes when its content does, so that browsers may cache
// it.
func staticPath(name string) (string, error) {
	data, err := staticDir.ReadFile("static/" + name)
	sum := sha256.Sum256(data)
	return "static/" + name + "?" + hex.EncodeToString(sum[:6]), err
}

func staticFiles() http.Handler {
	files := http.FileServerFS(staticDir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no listing of files
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		files.ServeHTTP(w, r)
	})
}

// frame is what every page has.
type frame struct {
	Title   string
	Current string // the item of the navigation
	Now     time.Time
	Root    string // of the pages, relative to this one: a proxy may have it under another path
	Query   string // of this one, but for refresh
	Refresh int    // seconds after which the browser is to ask again; 0: never
}

// refreshEvery is how often a page that is watched is asked for again, in seconds.
const refreshEvery = 5

func newFrame(r *http.Request, title, current string) frame {
	f := frame{Title: title, Current: current, Now: time.Now()}
	query := r.URL.Query()
	if query.Has("watch") {
		f.Refresh = refreshEvery
		query.Del("watch")
	}
	f.Root = "./"
	if depth := strings.Count(r.URL.EscapedPath(), "/") - 1; depth > 0 {
		f.Root = strings.Repeat("../", depth)
	}
	f.Query = query.Encode()
	return f
}

// WatchPath is the address of the same page with refreshing turned on, or off if it is on.
func (f frame) WatchPath() string {
	switch {
	case f.Refresh > 0:
		return "?" + f.Query
	case f.Query != "":
		return "?" + f.Query + "&watch"
	}
	return "?watch"
}

// show answers with the page that the template makes of data.
func (s *Site) show(w http.ResponseWriter, status int, name string, data any) {
	var made bytes.Buffer // a page is shown whole or not at all
	if err := s.pages.ExecuteTemplate(&made, name, data); err != nil {
		s.log.Error("making a page failed", "page", name, "err", err)
		http.Error(w, "making the page failed; the log says why", http.StatusInternalServerError)
		return
	}
	page := sanitize.ForTerminal(made.String()) // the whole page, so that no value is forgotten
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	io.WriteString(w, page) // an error is the client's
}

// sorry is a page that says why there is no other.
type sorry struct {
	frame
	Reason string
}

// fail answers with the reason why a page cannot be shown. What the database says goes to the log.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusServiceUnavailable
	reason := "The database does not answer. The log says why; the sync tries again by itself."
	switch {
	case errors.Is(err, errNotConnected):
		reason = "partnersync is still waiting for its database, or for its schema. The log says why."
	case errors.Is(err, report.ErrBusy):
		reason = "Too many ask at the same time. Try again in a moment."
	case errors.Is(err, report.ErrNoCustomer):
		status, reason = http.StatusNotFound, "There is no such customer in the database."
	case r.Context().Err() != nil:
		return // the client is gone
	default:
		s.warn("showing the status page failed", err, "page", r.Pattern)
	}
	if s.runner != nil && status == http.StatusServiceUnavailable {
		if wait, waiting := s.runner.Waiting(); waiting {
			reason = strings.TrimSpace(fmt.Sprintf("partnersync has been waiting for its database since %s: %s. %s",
				wait.Since.UTC().Format(time.RFC3339), wait.Reason, wait.Hint))
		}
	}
	s.show(w, status, "sorry.html", sorry{newFrame(r, "Not to be shown", ""), reason})
}

func (s *Site) notFound(w http.ResponseWriter, r *http.Request) {
	s.show(w, http.StatusNotFound, "sorry.html", sorry{newFrame(r, "Not found", ""), "There is no such page."})
}
