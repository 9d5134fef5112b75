package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manyMistakes has at least one of each kind that does not hide the others.
const manyMistakes = `# what can go wrong at once
database_url: postgres://u:pa55word!@h:port/db
state_dir: ${NOWHERE}
schedule: "@every 100ms"
timezone: CET/Berlin
run_on_start: 1
lease: 1s
listen: "9470"
page_url: sync.example.com
metrics: true
partners:
  - name: contoso
    cloud: azure
    tenant_id: contoso/
    client_secret: ${NOPE}
    client_secret_file: /nonexistent
    customers:
      - 47021739-3426-40bf-9601-61b4b6d7c793
      - contoso
    conccurency: 8
  - name: contoso
    client_id: [a]
    client_id: b
    app_user: true
    customers: [47021739]
    devices: maybe
    requests_per_minute: 1e3
    schedule: "0 0 31 2 *"
    api_url: https://hunter2~XYZ!@h
lease: 5s
`

func TestLoad_reportsAllMistakesInOrder(t *testing.T) {
	t.Parallel()
	_, err := load(t, manyMistakes, env)
	want := `c.yaml:2:15: database_url: does not read as a PostgreSQL URL; write postgres://user:password@host:5432/database?sslmode=verify-full (of the password, @ / : ? # % as %40 %2F %3A %3F %23 %25), or local
c.yaml:3:12: state_dir: the environment does not set ${NOWHERE}; set it there, or write $${ for a plain ${
c.yaml:4:11: schedule: reading schedule "@every 100ms": @every 100ms: it is too short; write at least 1s
c.yaml:5:11: timezone: "CET/Berlin" is not a time zone; write an IANA name such as UTC or Europe/Berlin
c.yaml:6:15: run_on_start: "1" is neither true nor false; write one of them
c.yaml:7:8: lease: "1s" is too short; write at least 2s
c.yaml:8:9: listen: "9470" is not host:port; write one such as 127.0.0.1:9470, or "" to listen nowhere
c.yaml:9:11: page_url: is not an absolute http or https URL; write one such as https://partnersync.example.com
c.yaml:10:1: metrics: is not a known key; known are customer_metrics, database_url, database_url_file, keep_runs, lease, listen, migrate_on_start, notify, page_url, partners, run_on_start, schedule, state_dir, status_page_password_file, timezone, token_key_file
c.yaml:12:5: client_id: is missing; write the id that Entra shows for the application
c.yaml:13:12: cloud: "azure" is not a known cloud; write global, usgov, china or germany
c.yaml:14:16: tenant_id: "contoso/" is not a tenant; write its GUID or a domain of it such as contoso.onmicrosoft.com
c.yaml:15:20: client_secret: the environment does not set ${NOPE}; set it there, or write $${ for a plain ${
c.yaml:16:5: client_secret_file: is set along with client_secret; keep one of the two
c.yaml:16:25: client_secret_file: "/nonexistent" cannot be read: no such file or directory; put the application's client secret there
c.yaml:19:9: customers: "contoso" is not a customer id; write its tenant id, such as 47021739-3426-40bf-9601-61b4b6d7c793
c.yaml:20:5: conccurency: is not a known key; write concurrency
c.yaml:21:5: tenant_id: is missing; write the partner's tenant as a GUID or a domain such as contoso.onmicrosoft.com
c.yaml:21:11: name: "contoso" is the partner's on line 12 already; give each its own name
c.yaml:22:5: client_id: is a list or a mapping; write a single value
c.yaml:23:5: client_id: repeats line 22; keep one of the two
c.yaml:25:17: customers: "47021739" is not a customer id; write its tenant id, such as 47021739-3426-40bf-9601-61b4b6d7c793
c.yaml:26:14: devices: "maybe" is neither true nor false; write one of them
c.yaml:27:26: requests_per_minute: "1e3" is not a number from 0 to 1000000; write one such as 500
c.yaml:28:15: schedule: reading schedule "0 0 31 2 *": it has no next time; no month it names has such a day
c.yaml:29:14: api_url: is more than a base URL; leave out user, password, ?query and #fragment
c.yaml:30:1: lease: repeats line 7; keep one of the two`
	if err == nil {
		t.Fatal("got no error")
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_warnsOfWhatIsHardlyMeant(t *testing.T) {
	t.Parallel()
	const id, other = "47021739-3426-40bf-9601-61b4b6d7c793", "47021739-3426-40BF-9601-61B4B6D7C793"
	listed := contoso("customers: [" + id + "]")
	fabrikam := strings.TrimPrefix(called("Fabrikam Inc"), "partners:\n")
	tests := []struct {
		name, content string
		want          []string
	}{
		{"nothing", minimal, nil},
		{"another cloud", contoso("cloud: usgov"), []string{
			"c.yaml:6:12: cloud: the API documentation promises device deployment in the global cloud only; expect " +
				"refusals in usgov",
		}},
		{"secrets in the clear", contoso("api_url: http://proxy.example.com\n    authority_url: http://10.0.0.1:8080"),
			[]string{
				"c.yaml:6:14: api_url: http:// off this machine sends secrets and tokens in the clear; use https://",
				"c.yaml:7:20: authority_url: http:// off this machine sends secrets and tokens in the clear; use " +
					"https://",
			}},
		{"the page in the clear", minimal + "page_url: http://sync.example.com\n", []string{
			"c.yaml:6:11: page_url: http:// off this machine sends the page and its password in the clear; " +
				"put a proxy with TLS before it",
		}},
		{"a customer of two partners", listed + fabrikam + "    customers: [" + other + "]\n", []string{
			`c.yaml:11:17: customers: "` + other +
				`" is a customer of "contoso" and of "Fabrikam Inc", and will fail under one of them; ` +
				"list it under one partner",
		}},
		{"but excluded under one", listed + fabrikam + "    customers: [" + id + "]\n    exclude_customers: [" + other +
			"]\n", nil},
		{"or under the other", listed + "    exclude_customers: [" + id + "]\n" + fabrikam + "    customers: [" + id +
			"]\n", nil},
		{"no customer", contoso("customers: []"), []string{
			"c.yaml:6:5: customers: lists no customer, and a pass without any fails; write all, or at least one " +
				"customer id",
		}},
		{"on this machine", contoso("api_url: http://localhost:8080\n    authority_url: http://127.0.0.2"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, tt.content, env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoad_secretFromFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content, want string
		mode                os.FileMode
		warning             string
	}{
		{"as it is", contosoSecret, contosoSecret, 0o600, ""},
		{"with a line break", contosoSecret + "\n", contosoSecret, 0o640, "its group; take that away with chmod 600"},
		{"with a line break of Windows", contosoSecret + "\r\n", contosoSecret, 0o400, ""},
		{"with a dollar sign, which stays", "a${b}$$", "a${b}$$", 0o600, ""},
		{"readable by all", contosoSecret, contosoSecret, 0o644,
			"every user of this machine; take that away with chmod 600"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil { // whatever the umask
				t.Fatal(err)
			}
			c, err := load(t, credential("client_secret_file: "+path), env)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Partners[0].ClientSecret.Reveal(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			var want []string
			if tt.warning != "" {
				want = []string{fmt.Sprintf("c.yaml:5:25: client_secret_file: %q can be read by %s", path, tt.warning)}
			}
			if diff := cmp.Diff(want, c.Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkShowsNoSecret looks for the tests' secrets in text.
func checkShowsNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{contosoSecret, "pa55word!", "hunter2"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %s:\n%s", where, secret, text)
		}
	}
}

func TestConfig_printsNoSecret(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		checkShowsNoSecret(t, format, fmt.Sprintf(format, c))
	}
	encoded, err := json.Marshal(c.Partners)
	if err != nil {
		t.Fatal(err)
	}
	checkShowsNoSecret(t, "json", string(encoded))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("configuration", "config", c, "database_url", c.Database.URL)
	checkShowsNoSecret(t, "slog", log.String())
}

func TestLoad_mistakesShowNoSecret(t *testing.T) {
	t.Parallel()
	// Ways to get the line of the secret wrong.
	for _, line := range []string{
		"client_secret:hunter2~XYZ!",
		"client_secret=hunter2~XYZ!",
		"client_secert: hunter2~XYZ!",
		"client_secret hunter2~XYZ!:",
		"client_secret: [hunter2~XYZ!]",
		"client_secret: {hunter2~XYZ!: x}",
		"client_secret: &hunter2~XYZ! x",
		"client_secret: *hunter2~XYZ!",
		"client_secret: !hunter2~XYZ!",
		"client_secret: !!hunter2~XYZ! x",
		"client_secret: |hunter2~XYZ!",
		"client_secret: @hunter2~XYZ!",
		"client_secret: 'hunter2~XYZ!",
		`client_secret: "hunter2~XYZ!\z"`,
		"client_secret: hunter2~XYZ!: x",
		"client_secret: ${hunter2~XYZ!}",
		"client_secret: ${hunter2~XYZ!",
		"- client_secret: hunter2~XYZ!",
		"\tclient_secret: hunter2~XYZ!",
		"client_id: ${CONTOSO_CLIENT_SECRET}\n    client_secret: a\n    zebra: 1",
		"client_secret: a\n    devices_refresh: ${CONTOSO_CLIENT_SECRET}",
		"client_secret: a\n    cloud: ${CONTOSO_CLIENT_SECRET}",
		"client_secret: a\n    api_url: ${CONTOSO_CLIENT_SECRET}://",
		"client_secret: a\n    schedule: ${CONTOSO_CLIENT_SECRET}",
		"client_secret: a\n    customers: ['${CONTOSO_CLIENT_SECRET}']",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, credential(line), env)
			if err == nil {
				t.Fatal("got no error")
			}
			checkShowsNoSecret(t, "the error", err.Error())
		})
	}
}

// FuzzLoad puts any text after two secrets, and lets it ask for a third.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", minimal, manyMistakes, contoso("cloud: ${CONTOSO_CLIENT_SECRET}"), "lease: ${A", "? [a]\n: {b: c}\n",
		"- &a *b\n",
		"  - name: a\n    client_secret: |\n      a\n", "<<: *a\n", "--- |\n", "%TAG ! tag:\n",
		"schedule: */15 * * * *\n", "\t", "\"\\x",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "c.yaml")
	const secrets = "database_url: " + databaseURL + "\nclient_secret: hunter2~XYZ!\n"
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 || strings.Contains(text, "secret_file") { // slow to parse; reads any file of the machine
			return
		}
		for _, content := range []string{text, secrets + text} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Load(Options{Path: path, LookupEnv: env.lookup})
			var mistakes *Error
			switch {
			case err == nil && len(c.Partners) == 0:
				t.Error("a configuration without partners")
			case err != nil && (!errors.As(err, &mistakes) || len(mistakes.Mistakes) == 0):
				t.Errorf("an error without mistakes: %v", err)
			case err != nil && !strings.Contains(text, "hunter2") && !strings.Contains(text, "pa55word"):
				checkShowsNoSecret(t, "the error", err.Error())
			}
		}
	})
}
