package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"partnersync/store/localpg"
)

// secrets are the secrets that are in play, by what they are.
type secrets struct {
	mu     gosync.Mutex
	values map[string]string
}

// add makes a value a secret. It ends with what forms, URLs, JSON and HTML escape.
func (s *secrets) add(what, value string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]string{}
	}
	s.values[what] = value
	return value
}

// find returns what of the secrets is in the text: whole, or only its beginning, and however it is written.
func (s *secrets) find(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, value := range s.values {
		beginning := value[:12]
		for _, written := range []string{
			beginning, url.QueryEscape(beginning), html.EscapeString(beginning), fmt.Sprintf("%x", beginning),
			base64.StdEncoding.EncodeToString([]byte(value))[:16], hex.EncodeToString([]byte(value)),
		} {
			if at := strings.Index(text, written); at >= 0 {
				found = append(found, fmt.Sprintf("%s: …%s…", what, text[max(0, at-120):min(len(text), at+80)]))
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestSecrets_areFoundHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	value := `hush~` + rand.Text() + `+/"<&`
	var s secrets
	s.add("a secret", value)
	asJSON, err := json.Marshal(map[string]string{"err": value})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		value, "Bearer " + value + "\n", value[:20], url.QueryEscape(value), url.PathEscape(value), string(asJSON),
		strconv.Quote(value),
		html.EscapeString(value), base64.StdEncoding.EncodeToString([]byte(value)), fmt.Sprintf("%x", value),
		fmt.Sprint([]string{"a", value}),
	} {
		if len(s.find("before "+text+" after")) != 1 {
			t.Errorf("not found in %s", text)
		}
	}
	if found := s.find("hush, and nothing more"); found != nil {
		t.Errorf("found %v", found)
	}
}

// hostile is a server that signs in and serves lists, and lets out whatever it is sent, in the way that the first part
// of the path names.
type hostile struct {
	secrets secrets
	mu      gosync.Mutex
	hits    map[string]int
}

// betrayal is how a request is answered; echo is the whole of it, and secret what is worst in it.
type betrayal func(w http.ResponseWriter, r *http.Request, echo, secret string)

// ofSignIns are what goes wrong with sign-ins.
var ofSignIns = map[string]betrayal{
	"refused": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		answerJSON(w, 401, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: " + echo})
	},
	"the_secret_as_code": func(w http.ResponseWriter, _ *http.Request, _, secret string) {
		answerJSON(w, 400, map[string]any{"error": secret})
	},
	"the_secret_as_request_id": func(w http.ResponseWriter, _ *http.Request, _, secret string) {
		w.Header().Set("x-ms-request-id", secret)
		answerJSON(w, 400, map[string]any{"error": "invalid_request"})
	},
	"echoed_by_a_gateway": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		http.Error(w, echo, http.StatusServiceUnavailable)
	},
	"no_token": func(w http.ResponseWriter, _ *http.Request, echo, _ string) { fmt.Fprint(w, echo) },
	"half_a_token": func(w http.ResponseWriter, _ *http.Request, _, secret string) {
		fmt.Fprintf(w, `{"access_token":%q`, secret)
	},
	"no_http": func(w http.ResponseWriter, _ *http.Request, echo, _ string) { answerRaw(w, echo) },
	"no_http_form": func(w http.ResponseWriter, r *http.Request, _, _ string) {
		answerRaw(w, "HTTP/1.1 "+r.PostForm.Encode()+"\r\n\r\n")
	},
	"sent_elsewhere": func(w http.ResponseWriter, _ *http.Request, _, secret string) {
		w.Header().Set("Location", "http://"+url.PathEscape(secret)+".example/"+url.PathEscape(secret))
		w.WriteHeader(307)
	},
}

// ofLists are what goes wrong with lists.
var ofLists = map[string]betrayal{
	"fault": func(w http.ResponseWriter, _ *http.Request, echo, token string) {
		answerJSON(w, 400, map[string]any{"code": token, "description": echo})
	},
	// the description is cut within the token
	"long_fault": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		answerJSON(w, 400, map[string]any{"code": strings.Repeat("c", 100) + token,
			"description": strings.Repeat("d", 1000) + token})
	},
	"escaped_fault": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"description":"\u%04x%s"}`, token[0], token[1:])
	},
	"echoed_by_a_gateway": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		w.WriteHeader(502)
		fmt.Fprint(w, "<pre>", html.EscapeString(echo))
	},
	"never_authorized": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		http.Error(w, echo, http.StatusUnauthorized)
	},
	"throttled": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, echo, http.StatusTooManyRequests)
	},
	"no_list": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.Header().Set("Content-Type", token)
		fmt.Fprint(w, token)
	},
	"the_token_as_ids": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.Header().Set("MS-RequestId", token)
		w.Header().Set("MS-CorrelationId", token)
		w.WriteHeader(404)
	},
	"no_http": func(w http.ResponseWriter, _ *http.Request, _, token string) { answerRaw(w, token) },
	"no_header": func(w http.ResponseWriter, _ *http.Request, echo, _ string) {
		answerRaw(w, "HTTP/1.1 200 OK\r\n"+strings.ReplaceAll(echo, ":", " ")+"\r\n\r\n")
	},
	"sent_elsewhere": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.Header().Set("Location", "http://"+token+".example/"+token)
		w.WriteHeader(302)
	},
	"sent_nowhere": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.Header().Set("Location", "http://[%"+token)
		w.WriteHeader(302)
	},
	"in_circles": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		w.Header().Set("Location", "/in_circles/"+token+"?"+token)
		w.WriteHeader(302)
	},
	"next_page": func(w http.ResponseWriter, r *http.Request, echo, token string) {
		if strings.Contains(r.URL.Path, token) {
			http.Error(w, echo, http.StatusGone)
			return
		}
		answerJSON(w, 200, map[string]any{"items": []any{},
			"links": map[string]any{"next": map[string]any{"uri": "/v1/" + token}}})
	},
	"next_page_elsewhere": func(w http.ResponseWriter, _ *http.Request, _, token string) {
		answerJSON(w, 200, map[string]any{"items": []any{},
			"links": map[string]any{"next": map[string]any{"uri": "http://" + token + ".example/v1/x"}}})
	},
}

func answerJSON(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// answerRaw writes what need be no HTTP, and ends the connection.
func answerRaw(w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, text)
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, _ := httputil.DumpRequest(r, true)
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	h.mu.Lock()
	h.hits[name]++
	h.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/token") {
		ofLists[strings.TrimPrefix(name, "lists_")](w, r, string(dump),
			strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		return
	}
	r.ParseForm()
	if betray, ok := ofSignIns[strings.TrimPrefix(name, "sign_in_")]; ok && strings.HasPrefix(name, "sign_in_") {
		betray(w, r, string(dump), r.PostForm.Get("client_secret"))
		return
	}
	// A token as long as they are, so that it may be cut in an error.
	token := h.secrets.add("token "+rand.Text(), "eyJ"+rand.Text()+strings.Repeat("x", 1500))
	answerJSON(w, 200, map[string]any{"access_token": token, "expires_in": 3600})
}

// partnersOf writes a configuration with a partner for each betrayal.
func (h *hostile) partnersOf(t *testing.T, server, listen string) (path string, names []string) {
	t.Helper()
	dir := t.TempDir()
	for name := range ofSignIns {
		names = append(names, "sign_in_"+name)
	}
	for name := range ofLists {
		names = append(names, "lists_"+name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "schedule: 0 0 1 1 *\nlisten: %s\npartners:\n", listen)
	for i, name := range names {
		secret := "hush~" + rand.Text() + ` +/%"<&>\`
		if name == "sign_in_the_secret_as_code" { // a code is nothing but letters
			secret = strings.ToLower(strings.Trim(rand.Text()+rand.Text()+rand.Text(), "234567"))
			secret = strings.Map(func(r rune) rune { return max(r, 'a') }, secret)[:30]
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(h.secrets.add("secret of "+name, secret)), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, `
  - name: %[1]s
    tenant_id: contoso.onmicrosoft.com
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret_file: %[2]s
    customers: [%[3]s]
    policies: false
    api_url: %[4]s/%[1]s
    authority_url: %[4]s/%[1]s
`, name, file, customerID(i+1), server)
	}
	path = filepath.Join(dir, "partnersync.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, names
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// passwordServer starts a server that asks for passwords, and returns the superuser's URL.
func (h *hostile) passwordServer(t *testing.T) *url.URL {
	t.Helper()
	port := freePort(t)
	server, err := localpg.Start(t.Context(), localpg.Config{Port: port, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	password := h.secrets.add("database password", "hush~"+rand.Text()+"@/?#%:")
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{"ALTER ROLE postgres PASSWORD '" + password + "'",
		"CREATE ROLE nobody LOGIN PASSWORD '" + password + "'"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return &url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: "127.0.0.1:" + strconv.Itoa(port), Path: "/postgres"}
}

// output is what a program prints on its streams.
type output struct {
	mu     gosync.Mutex
	buf    bytes.Buffer
	passes chan struct{} // one for each pass whose end is logged; may be nil
}

func (o *output) Write(p []byte) (int, error) {
	if o.passes != nil && bytes.Contains(p, []byte(`"msg":"pass finished"`)) {
		o.passes <- struct{}{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tables returns the text of everything in the two schemas.
func tables(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	const list = `
		SELECT c.oid::regclass::text
		FROM pg_class c
		WHERE relkind IN ('r', 'v') AND relnamespace::regnamespace::text IN ('partner_center', 'partnersync')`
	rows, _ := pool.Query(t.Context(), list) // CollectRows returns its error
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) < 20 {
		t.Fatalf("%d tables and views, %v", len(names), err)
	}
	var all strings.Builder
	for _, name := range names {
		rows, _ := pool.Query(t.Context(), "SELECT x::text FROM "+name+" x")
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, name, strings.Join(lines, "\n"))
	}
	return all.String()
}

// TestSecrets_areInNoOutputAndNoTable makes every request of the program fail in ways that bring secrets to it, logs
// all it has to say, and searches for them.
func TestSecrets_areInNoOutputAndNoTable(t *testing.T) {
	t.Parallel()
	h := &hostile{hits: map[string]int{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	database := h.passwordServer(t)
	listen := "127.0.0.1:" + strconv.Itoa(freePort(t))
	path, names := h.partnersOf(t, server.URL, listen)
	env := environment{"DATABASE_URL": database.String()}

	var g errgroup.Group
	outputs := map[string]*output{}
	start := func(ctx context.Context, args ...string) {
		out := &output{passes: make(chan struct{}, 2*len(names))}
		outputs[strings.Join(args, " ")] = out
		g.Go(func() error {
			code := run(ctx, append(args, "--config", path, "--log-level", "debug"), env.lookup, strings.NewReader(""),
				out, out)
			fmt.Fprintln(out, "exit code", code)
			return nil
		})
	}
	stopped, stop := context.WithCancel(t.Context())
	start(stopped) // the daemon
	start(t.Context(), "--dry-run", "--once")
	start(t.Context(), "--once", "--json")
	for range names {
		<-outputs[""].passes
	}
	fetch(t, outputs[""], "http://"+listen+"/metrics", "http://"+listen+"/")
	stop()
	g.Wait()

	pool, err := pgxpool.New(t.Context(), database.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	stored := tables(t, pool)
	for what, out := range outputs {
		if found := h.secrets.find(out.String()); found != nil {
			t.Errorf("partnersync %s prints\n%s", what, strings.Join(found, "\n"))
		}
	}
	if found := h.secrets.find(stored); found != nil {
		t.Errorf("the database has\n%s", strings.Join(found, "\n"))
	}
	server.Close()
	for _, name := range names {
		if h.hits[name] == 0 || !strings.Contains(stored, name) {
			t.Errorf("nothing went wrong with %s", name)
		}
	}
	if n := strings.Count(stored, "[redacted]"); n < 10 {
		t.Errorf("only %d secrets were taken out", n)
	}
	// What is let out is found.
	if _, err := pool.Exec(t.Context(), "UPDATE partnersync.runs SET error = $1 WHERE run_id = 1",
		database.String()); err != nil {
		t.Fatal(err)
	}
	if found := h.secrets.find(tables(t, pool)); len(found) != 1 {
		t.Errorf("of one secret in the database %d were found", len(found))
	}
}

// fetch adds to out what the daemon serves.
func fetch(t *testing.T, out *output, urls ...string) {
	t.Helper()
	for _, u := range urls {
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", u, resp.Status)
		}
		io.Copy(out, resp.Body)
		resp.Body.Close()
	}
}

func TestSecrets_areInNoErrorOfDatabaseOrConfiguration(t *testing.T) {
	t.Parallel()
	h := &hostile{}
	database := h.passwordServer(t)
	password, _ := database.User.Password()
	good := filepath.Join(t.TempDir(), "good.yaml")
	bad := filepath.Join(filepath.Dir(good), "bad.yaml")
	for path, content := range map[string]string{
		good: `partners:
  - name: contoso
    tenant_id: t.example
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: ${PASSWORD}
    customers: []
`,
		bad: `database_url: ${DATABASE_URL}?x=${PASSWORD}&sslmode=${PASSWORD}
lease: ${PASSWORD}
schedule: ${PASSWORD}
timezone: ${PASSWORD}
listen: ${PASSWORD}
partners:
  - name: contoso
    cloud: ${PASSWORD}
    tenant_id: ${PASSWORD}
    client_id: ${PASSWORD}
    client_secret_file: ${PASSWORD}
    api_url: http://u:${PASSWORD}@host
    customers: ['${PASSWORD}']
`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := func(change func(*url.URL)) string {
		u := *database
		change(&u)
		return u.String()
	}
	const howToEscape = "of the password, @ / : ? # % as %40"
	tests := []struct {
		name, url, config, want string
	}{
		{"wrong password", with(func(u *url.URL) {
			u.User = url.UserPassword("postgres", h.secrets.add("wrong password", "hush~"+rand.Text()+"%@"))
		}), good, "check the user and the password"},
		{"no such user", with(func(u *url.URL) { u.User = url.UserPassword("stranger", password) }), good,
			"check the user and the password"},
		{"no such database", with(func(u *url.URL) { u.Path = "/missing" }), good, "create the database"},
		{"no server", with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), good, "check that PostgreSQL runs"},
		{"no rights", with(func(u *url.URL) { u.User = url.UserPassword("nobody", password) }), good,
			"permission denied"},
		{"no such parameter", with(func(u *url.URL) { u.RawQuery = "no_such_parameter=1" }), good, "no_such_parameter"},
		{"unreadable", "postgres://postgres:" + password + "@host:port/x", good, howToEscape},
		{"cut short by a slash", "postgres://postgres:12/" + password + "@127.0.0.1:1/x", good, howToEscape},
		{"cut short by a question mark", "postgres://postgres:12?" + password + "@127.0.0.1:1/x", good, howToEscape},
		{"of ADO.NET", "Host=127.0.0.1;Username=postgres;Password=" + password, good, howToEscape},
		{"unreadable keywords", "host=h port=p password='" + password + "'", good, "does not read as a PostgreSQL URL"},
		{"every mistake", database.String(), bad, howToEscape},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := environment{"DATABASE_URL": tt.url, "PASSWORD": password}
			for _, args := range [][]string{{"--once"}, {"--dry-run", "--once"}, {"--backfill"}, {"migrate", "up"},
				{"migrate", "status"}, {"prune", "--before", "2024-01-01"}} {
				var out output
				code := run(t.Context(), append(args, "--config", tt.config, "--log-level", "debug"), env.lookup,
					strings.NewReader(""), &out, &out)
				if found := h.secrets.find(out.String()); found != nil {
					t.Errorf("partnersync %s prints\n%s", args, strings.Join(found, "\n"))
				}
				if args[0] == "--once" && (code == exitOK || !strings.Contains(out.String(), tt.want)) {
					t.Errorf("exit code %d, %s\nwant %s in it", code, out.String(), tt.want)
				}
			}
		})
	}
}
