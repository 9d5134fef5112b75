package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/store/cron"
)

const (
	contosoSecret = "hunter2~XYZ!"
	databaseURL   = "postgres://sync:pa55word!@db.example/partnersync?sslmode=verify-full"
)

// environment is what the tests' configurations see of one.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	text, ok := e[name]
	return text, ok
}

var env = environment{"DATABASE_URL": databaseURL, "CONTOSO_CLIENT_SECRET": contosoSecret, "EMPTY": "",
	"LATIN_1": "caf\xe9"}

// minimal is the smallest configuration there is, in an environment with DATABASE_URL.
const minimal = `partners:
  - name: contoso
    tenant_id: contoso.onmicrosoft.com
    client_id: 6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90
    client_secret: hunter2~XYZ!
`

// load loads a configuration file of the given content, named c.yaml in messages.
func load(t *testing.T, content string, env environment) (*Config, error) {
	t.Helper()
	return loadWith(t, content, Options{LookupEnv: env.lookup})
}

// loadWith is load with options, but for the path.
func loadWith(t *testing.T, content string, o Options) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	o.Path = filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(o.Path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(o)
	var mistakes *Error
	switch {
	case errors.As(err, &mistakes):
		for i, m := range mistakes.Mistakes {
			mistakes.Mistakes[i] = strings.ReplaceAll(m, dir+string(filepath.Separator), "")
		}
	case err != nil:
		t.Errorf("got an error of type %T", err)
	default:
		c.Path = ""
		c.Database.From = strings.ReplaceAll(c.Database.From, dir+string(filepath.Separator), "")
		c.Database.Doubt = strings.ReplaceAll(c.Database.Doubt, dir+string(filepath.Separator), "")
		for i, w := range c.Warnings {
			c.Warnings[i] = strings.ReplaceAll(w, dir+string(filepath.Separator), "")
		}
	}
	return c, err
}

// mistakesOf returns what is wrong with a configuration, a line each.
func mistakesOf(t *testing.T, content string) []string {
	t.Helper()
	_, err := load(t, content, env)
	var mistakes *Error
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v, want mistakes", err)
	}
	return mistakes.Mistakes
}

var compareSchedules = cmp.Comparer(func(a, b cron.Schedule) bool { return a.String() == b.String() })

var compareZones = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

func TestLoad_defaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, minimal, env)
	if err != nil {
		t.Fatal(err)
	}
	everyQuarter, err := cron.Parse("*/15 * * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Database: Database{
			URL: databaseURL, Host: "db.example:5432", Name: "partnersync", From: "DATABASE_URL in the environment",
		},
		StateDir:       ".partnersync",
		Schedule:       everyQuarter,
		Timezone:       time.UTC,
		RunOnStart:     true,
		MigrateOnStart: true,
		Lease:          time.Minute,
		TokenKeyFile:   "partnersync.key",
		KeepRuns:       400 * 24 * time.Hour,
		Listen:         "127.0.0.1:9470",
		Partners: []Partner{{
			Name:              "contoso",
			Cloud:             "global",
			TenantID:          "contoso.onmicrosoft.com",
			ClientID:          "6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90",
			ClientSecret:      contosoSecret,
			Devices:           true,
			Policies:          true,
			DevicesRefresh:    24 * time.Hour,
			RequestsPerMinute: 500,
			Concurrency:       8,
			Schedule:          everyQuarter,
		}},
	}
	if diff := cmp.Diff(want, got, compareSchedules, compareZones); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_exampleHoldsTheDefaults(t *testing.T) {
	t.Parallel()
	const path = "../../../deploy/partnersync.yaml"
	got, err := Load(Options{Path: path, LookupEnv: env.lookup})
	if err != nil {
		t.Fatal(err)
	}
	want, err := load(t, minimal, env)
	if err != nil {
		t.Fatal(err)
	}
	want.Path = path
	if diff := cmp.Diff(want, got, compareSchedules, compareZones); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_everyKey(t *testing.T) {
	t.Parallel()
	got, err := load(t, `
database_url: local
state_dir: "${STATE}/private"
schedule: '@every 2d'
timezone: Europe/Berlin
run_on_start: false
migrate_on_start: False
lease: 2s
keep_runs: 0
listen: ""
page_url: https://sync.example.com/partnersync/
token_key_file: sealing.key
partners:
  - name: a.b-c_1
    cloud: global
    tenant_id: 0D4A6B1F-7B1C-4C3D-9E5F-1A2B3C4D5E6F
    client_id: 6B0A3A8E-2F0C-4C1B-9D5E-7A1F4B8C2D90
    client_secret: a$b$$c$${d}
    app_user: false
    customers: [47021739-3426-40BF-9601-61B4B6D7C793, "${CUSTOMER}"]
    exclude_customers:
      - b44bb1fb-c595-45b0-9e09-d657365580bf
    devices: false
    policies: false
    devices_refresh: 7d
    requests_per_minute: 0
    concurrency: ${CONCURRENCY}
    schedule: 0 6 * * mon
    api_url: http://127.0.0.1:8080/prefix/v1
    authority_url: http://[::1]:8080
`, environment{"STATE": "/var/lib/$x", "CUSTOMER": "45c44870-ef77-4fdd-b6fe-3dacb075cff2", "CONCURRENCY": "64"})
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Database: Database{
			URL: "local", Host: "a private server in /var/lib/$x/private", Name: "postgres", From: "database_url in c.yaml",
		},
		StateDir: "/var/lib/$x/private", TokenKeyFile: "sealing.key",
		PageURL:  "https://sync.example.com/partnersync/",
		Timezone: berlin,
		Lease:    2 * time.Second,
		Partners: []Partner{{
			Name:             "a.b-c_1",
			Cloud:            "global",
			TenantID:         "0D4A6B1F-7B1C-4C3D-9E5F-1A2B3C4D5E6F",
			ClientID:         "6B0A3A8E-2F0C-4C1B-9D5E-7A1F4B8C2D90",
			ClientSecret:     "a$b$c${d}",
			Customers:        []string{"47021739-3426-40bf-9601-61b4b6d7c793", "45c44870-ef77-4fdd-b6fe-3dacb075cff2"},
			ExcludeCustomers: []string{"b44bb1fb-c595-45b0-9e09-d657365580bf"},
			DevicesRefresh:   7 * 24 * time.Hour,
			Concurrency:      64,
			APIURL:           "http://127.0.0.1:8080/prefix/v1",
			AuthorityURL:     "http://[::1]:8080",
		}},
	}
	// Schedules are compared by their ticks below.
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b cron.Schedule) bool { return true }),
		compareZones); diff != "" {
		t.Error(diff)
	}
	midnight := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	if got := got.Partners[0].Schedule.Next(midnight); !got.Equal(midnight.Add(5 * time.Hour)) {
		t.Errorf("the partner's next tick is %v, want 06:00 in Berlin", got)
	}
	if got := got.Schedule.Interval(midnight); got != 48*time.Hour {
		t.Errorf("the default interval is %v, want two days", got)
	}
}

func TestLoad_acceptsWhatEditorsWrite(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, content string }{
		{"byte order mark", "\ufeff" + minimal},
		{"line ends of Windows", strings.ReplaceAll(minimal, "\n", "\r\n")},
		{"document start and end", "---\n" + minimal + "...\n"},
		{"flow style", `{partners: [{name: contoso, tenant_id: contoso.onmicrosoft.com,
			client_id: 6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90, client_secret: "hunter2~XYZ!"}]}`},
		{"block scalar", strings.Replace(minimal, " hunter2~XYZ!", " |\n      hunter2~XYZ!", 1)},
		{"quotes and comments", "# first\n" + strings.Replace(minimal, " hunter2~XYZ!", ` "hunter2~XYZ!" # last`, 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, tt.content, env)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Partners[0].ClientSecret.Reveal(); got != contosoSecret {
				t.Errorf("the secret is %q", got)
			}
		})
	}
}

func TestLoad_acceptsWhatPartnersAreCalled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "-", "Contoso Ltd", "Müller & Söhne (DE)", "東京", `a"b\c`,
		strings.Repeat("ü", 64)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, called("'"+name+"'"), env)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Partners[0].Name; got != name {
				t.Errorf("got %q, want %q", got, name)
			}
		})
	}
	for _, id := range []string{"contoso.example", "contoso.onmicrosoft.com", "xn--mller-kva.example",
		"6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, ofTenant(id), env)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Partners[0].TenantID; got != id {
				t.Errorf("got %q, want %q", got, id)
			}
		})
	}
}

func TestLoad_listWithoutCustomersIsNotAll(t *testing.T) {
	t.Parallel()
	c, err := load(t, contoso("customers: []"), env)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Partners[0].Customers; got == nil || len(got) > 0 {
		t.Errorf("got %#v, want an empty list that is not nil", got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if want := []string{"partnersync.yaml", "/etc/partnersync/partnersync.yaml"}; !slices.Equal(places, want) {
		t.Errorf("it is looked for in %q, want %q", places, want)
	}
	dir := t.TempDir()
	there, alsoThere, none := filepath.Join(dir, "there"), filepath.Join(dir, "also there"), filepath.Join(dir, "none")
	for _, path := range []string{there, alsoThere} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, flag     string
		env            environment
		places         []string
		path, chosenBy string
	}{
		{"the flag first", "a.yaml", environment{"PARTNERSYNC_CONFIG": "b.yaml"}, []string{there}, "a.yaml", "--config"},
		{"then the environment", "", environment{"PARTNERSYNC_CONFIG": "b.yaml"}, []string{there}, "b.yaml",
			"PARTNERSYNC_CONFIG"},
		{"an empty variable is none", "", environment{"PARTNERSYNC_CONFIG": ""}, []string{there}, there, "default"},
		{"then the first place", "", nil, []string{there, alsoThere}, there, "default"},
		{"then the second", "", nil, []string{none, alsoThere}, alsoThere, "default"},
		{"and no other", "", nil, []string{none, none}, none + " or " + none, "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Path: tt.flag, LookupEnv: tt.env.lookup}
			if path, by := find(o, tt.places); path != tt.path || by != tt.chosenBy {
				t.Errorf("got %s by %s, want %s by %s", path, by, tt.path, tt.chosenBy)
			}
		})
	}
}

func TestLoad_unreadableFile(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", 1<<19)+"#"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tests := []struct{ name, path, want string }{
		{"missing", "nowhere.yaml", "reading the configuration nowhere.yaml (chosen by --config): there is no such " +
			"file; " +
			"begin with a copy of deploy/partnersync.yaml, and name it by --config or PARTNERSYNC_CONFIG"},
		{"directory", dir, "reading the configuration " + dir + " (chosen by --config): is a directory"},
		{"too large", large, "reading the configuration " + large +
			" (chosen by --config): it is larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Options{Path: tt.path, LookupEnv: env.lookup})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLoad_needsNoFileWithDatabaseURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, flag string
		env        environment
		want       string // in the error, or the database's URL
	}{
		{"in the environment", "", environment{"DATABASE_URL": databaseURL}, databaseURL},
		{"with the file's name there too", "", environment{"DATABASE_URL": databaseURL, pathVariable: "none.yaml"},
			databaseURL},
		{"but --config names a file", "none.yaml", environment{"DATABASE_URL": databaseURL}, "there is no such file"},
		{"not set", "", environment{}, "there is no such file"},
		{"wrong", "", environment{"DATABASE_URL": "mysql://pa55word!@x"},
			"DATABASE_URL in the environment: is not a PostgreSQL URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(Options{Path: tt.flag, LookupEnv: tt.env.lookup, Needs: NeedsDatabase})
			switch {
			case err == nil && (c.Database.URL.Reveal() != tt.want || c.StateDir != ".partnersync"):
				t.Errorf("got %q and %q", c.Database.URL.Reveal(), c.StateDir)
			case err != nil && !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLoad_readsTheFileThereIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("database_url: local\n"+minimal+"leese: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{LookupEnv: environment{pathVariable: path}.lookup, Needs: NeedsDatabase})
	if want := path + ":7:1: leese: is not a known key; write lease"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
