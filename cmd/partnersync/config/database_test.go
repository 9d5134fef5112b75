package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What names the database: the flag, then the environment, then the file.
func TestLoad_databaseIsNamedBy(t *testing.T) {
	t.Parallel()
	url := func(s string) *string { return &s }
	const inEnv, missing = "DATABASE_URL in the environment",
		"c.yaml:1:1: database_url: is missing; write it, or set DATABASE_URL in the environment"
	tests := []struct {
		name, content string
		flag          *string
		env           environment
		want, from    string
		wantErr       string
	}{
		{"the flag", "database_url: local\n" + minimal, url("postgres://a/b"), env, "postgres://a/b", "--database-url", ""},
		{"the flag, local", "database_url: postgres://a/b\n" + minimal, url("local"), env, "local", "--database-url", ""},
		{"an empty flag", "database_url: local\n" + minimal, url(""), env, "", "", "--database-url: is empty" + databaseFix},
		{"the environment", minimal, nil, env, databaseURL, inEnv, ""},
		{"the environment before the file", "database_url: postgres://a/b\n" + minimal, nil, env, databaseURL, inEnv, ""},
		{"the environment before a private server", "database_url: local\n" + minimal, nil, env, databaseURL, inEnv, ""},
		{"the environment before a file's file", "database_url_file: none\n" + minimal, nil, env, databaseURL, inEnv, ""},
		{"the file", "database_url: local\n" + minimal, nil, nil, "local", "database_url in c.yaml", ""},
		{"the file, with an empty variable", "database_url: local\n" + minimal, nil, environment{"DATABASE_URL": ""}, "local",
			"database_url in c.yaml", ""},
		{"the file, by another variable", "database_url: ${DB}\n" + minimal, nil, environment{"DB": databaseURL}, databaseURL,
			"database_url in c.yaml", ""},
		{"the file, in parts", "database_url: postgres://u:${PW}@h/db\n" + minimal, nil, environment{"PW": "x"},
			"postgres://u:x@h/db", "database_url in c.yaml", ""},
		{"the file, as keywords", "database_url: host=h password=a://b\n" + minimal, nil, nil, "host=h password=a://b",
			"database_url in c.yaml", ""},
		{"none", minimal, nil, nil, "", "", missing},
		{"an empty variable", minimal, nil, environment{"DATABASE_URL": ""}, "", "", missing},
		{"a wrong variable", minimal, nil, environment{"DATABASE_URL": "postgres://u:pa55word!@h:x/"}, "", "",
			inEnv + ": does not read as a PostgreSQL URL" + databaseFix},
		{"the flag, and a mistake in the file", "database_url: mysql://a/b\n" + minimal, url("postgres://a/b"), env, "", "",
			"c.yaml:1:15: database_url: is not a PostgreSQL URL" + databaseFix},
		{"the environment, and a mistake in the file", "database_url: mysql://a/b\n" + minimal, nil, env, "", "",
			"c.yaml:1:15: database_url: is not a PostgreSQL URL" + databaseFix},
		{"the environment, and a variable that is missing", "database_url: ${NOWHERE}\n" + minimal, nil, env, databaseURL,
			inEnv, ""},
		{"a variable that is missing", "database_url: ${NOWHERE}\n" + minimal, nil, nil, "", "",
			"c.yaml:1:15: database_url: the environment does not set ${NOWHERE}; " +
				"set it there, or write $${ for a plain ${"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := loadWith(t, tt.content, Options{DatabaseURL: tt.flag, LookupEnv: tt.env.lookup})
			switch {
			case err != nil && err.Error() != tt.wantErr, err == nil && tt.wantErr != "":
				t.Errorf("got  %v\nwant %s", err, tt.wantErr)
			case err == nil && (c.Database.URL.Reveal() != tt.want || c.Database.From != tt.from):
				t.Errorf("got %q by %s, want %q by %s", c.Database.URL.Reveal(), c.Database.From, tt.want, tt.from)
			}
		})
	}
}

// Doubt is where the environment and the file name different databases, and nothing else chooses.
func TestLoad_databaseIsInDoubt(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, env, want string }{
		{"none in the file", "", "postgres://a/b", ""},
		{"none in the environment", "database_url: postgres://a/b\n", "", ""},
		{"the same", "database_url: ${DATABASE_URL}\n", "postgres://a/b", ""},
		{"the same, as another user", "database_url: host=a dbname=b user=writer\n", "postgres://owner:x@a:5432/b", ""},
		{"another host", "database_url: postgres://u:pa55word!@production/b\n", "postgres://u:pa55word!@staging/b",
			"DATABASE_URL in the environment names database b on staging:5432, and database_url in c.yaml names " +
				"database b on production:5432: say by --database-url which one"},
		{"another port", "database_url: postgres://a:5433/b\n", "postgres://a/b", "5433"},
		{"another database", "database_url: postgres://a/production\n", "postgres://a/staging", "production"},
		{"a private server", "database_url: local\n", "postgres://a/b", "database postgres on a private server in "},
		{"one that cannot be told", "database_url: postgres://${HOST}/b\n", "postgres://a/b", "one that cannot be told here"},
		{"one in a file that is not there", "database_url_file: none\n", "postgres://a/b", "one that cannot be told here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{LookupEnv: environment{"DATABASE_URL": tt.env}.lookup}
			c, err := loadWith(t, tt.file+minimal, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Database.Doubt; (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			checkShowsNoSecret(t, "the doubt", c.Database.Doubt+c.Database.String())
			inTheClear := func(warning string) bool { return strings.Contains(warning, "sslmode") }
			if warned := strings.Join(slices.DeleteFunc(c.Warnings, inTheClear), ""); warned != c.Database.Doubt {
				t.Errorf("the warnings are %q", warned)
			}
			chosen := "postgres://a/b"
			o.DatabaseURL = &chosen
			if c, err := loadWith(t, tt.file+minimal, o); err != nil || c.Database.Doubt != "" {
				t.Errorf("with --database-url there is doubt, or an error: %v", err)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:pa55word!@db.example/partnersync":           "db.example:5432 partnersync",
		"postgres://sync@[2001:db8::1]:5433/x":                    "[2001:db8::1]:5433 x",
		"postgres:///x?host=/run/postgresql&user=sync":            "/run/postgresql:5432 x",
		"postgres://u@a,b:5433/x?target_session_attrs=any":        "a:5432,b:5433 x",
		"host=db password='pa55word! x' dbname=x sslmode=require": "db:5432 x",
		"postgres://sync@db":                                      "db:5432 sync",
		"postgres://u:1/pa55word!@db/x":                           "(not shown) (not shown)",
		"postgres://u:1?pa55word!@db/x":                           "(not shown) (not shown)",
		"postgres://u:a@pa55word!/b@db/x":                         "(not shown) (not shown)",
		"postgres://u:pa55word!%zz@db/x":                          "(not shown) (not shown)",
	} {
		if host, name := describe(url, ""); host+" "+name != want {
			t.Errorf("%s: got %s %s, want %s", url, host, name, want)
		}
	}
}

// A command that needs only some keys asks for no secret, nor for what is in the environment of the daemon alone.
func TestLoad_needsNoSecret(t *testing.T) {
	t.Parallel()
	const credentials = "${CREDENTIALS_DIRECTORY}/partnersync_"
	content := "status_page_password_file: " + credentials + `page
token_key_file: ${CREDENTIALS_DIRECTORY}/token.key
notify:
  - {url: "${SLACK_WEBHOOK_URL}", secret_file: none}
  - {url: https://example.com, secret: "${WEBHOOK_SECRET}"}
partners:
  - {name: a, tenant_id: a.example, client_id: aaaaaaaa-0000-4000-8000-000000000000, client_secret_expires: 2027-01-31,
     client_secret_file: "` + credentials + `a"}
  - {name: b, tenant_id: b.example, client_id: bbbbbbbb-0000-4000-8000-000000000000, client_certificate_file: none}
  - {name: c, tenant_id: "${TENANT}", client_id: "${CLIENT}", client_secret: "${SECRET}"}
  - {name: d, tenant_id: d.example, client_id: dddddddd-0000-4000-8000-000000000000, federated_token_file: none}
  - {name: e, tenant_id: e.example, client_id: eeeeeeee-0000-4000-8000-000000000000, app_user: true, app_user_secret_file: none}
  - {name: f}
database_url: postgres://sync@db/x?passfile=${PASSFILE}
listen: ${LISTEN}
`
	env := environment{"AZURE_FEDERATED_TOKEN_FILE": "none", "AZURE_TENANT_ID": "f.example", "AZURE_CLIENT_ID": app}
	with := func(name, text string) environment {
		e := environment{name: text}
		for name, text := range env {
			e[name] = text
		}
		return e
	}
	const noPassfile = "database_url: the environment does not set ${PASSFILE}"
	for _, tt := range []struct {
		name  string
		needs []string
		env   environment
		want  string // in the error
	}{
		{"database", NeedsDatabase, with("PASSFILE", "/none"), ""},
		{"database, in the environment", NeedsDatabase, with("DATABASE_URL", databaseURL), ""},
		{"database, without its password", NeedsDatabase, env, noPassfile},
		{"listen", NeedsListen, with("LISTEN", ":9470"), ""},
		{"listen, without it", NeedsListen, env, "listen: the environment does not set ${LISTEN}"},
		{"partners", NeedsPartners, env, ""},
		{"everything", nil, env, noPassfile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := loadWith(t, content, Options{LookupEnv: tt.env.lookup, Needs: tt.needs})
			switch {
			case tt.want != "":
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if lines := strings.Count(err.Error(), "\n") + 1; (lines > 1) != (tt.needs == nil) {
					t.Errorf("%d mistakes: %v", lines, err)
				}
			case err != nil:
				t.Error(err)
			default:
				var names []string
				for _, p := range c.Partners {
					names = append(names, p.Name)
				}
				if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, names); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// Mistakes of form are told whatever is needed.
func TestLoad_needsItsFormToBeRight(t *testing.T) {
	t.Parallel()
	o := Options{LookupEnv: env.lookup, Needs: NeedsListen}
	_, err := loadWith(t, strings.Replace(minimal, "tenant_id", "tenant", 1)+"lease: soon\n", o)
	for _, want := range []string{"tenant: is not a known key; write tenant_id", `lease: "soon" is not a duration`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLoad_saysWhereItLooked(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := os.Stat(places[1]); err == nil {
		t.Skip("allowed: this machine has a configuration of its own")
	}
	_, err := Load(Options{LookupEnv: environment{}.lookup})
	const want = "reading the configuration partnersync.yaml or /etc/partnersync/partnersync.yaml (chosen by default): " +
		"there is no such file; begin with a copy of deploy/partnersync.yaml, and name it by --config or PARTNERSYNC_CONFIG"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
