package config

import (
	"strings"
	"testing"
)

// What could be part of a password is neither shown nor taken for something that errors show later.
func TestWrongDatabaseURL(t *testing.T) {
	t.Parallel()
	const cut = "has an @ or # after the host, as if its password held a / ? or # that is not escaped"
	for url, want := range map[string]string{
		"postgres://u:12/secret@db.example/x":                            cut,
		"postgres://u:12?secret@db.example/x":                            cut,
		"postgres://u:12?a=secret@db.example/x":                          cut,
		"postgres://u:12#secret@db.example/x":                            cut,
		"postgres://u:a@12/secret@db.example/x":                          cut,
		"postgres://u:pw@db.example/x#secret":                            cut,
		"postgres://u:100%secret@db.example/x":                           "does not read as a PostgreSQL URL",
		"postgres://u:ab/secret@db.example/x":                            cut,
		"Host=db.example;Username=u;Password=secret":                     "is a connection string of ADO.NET",
		"Server=db;Port=5432;User Id=u;Password=sec":                     "is a connection string of ADO.NET",
		"jdbc:postgresql://db/x?user=u&password=s":                       "is a URL of JDBC",
		"sqlserver://u:secret@db":                                        "is not a PostgreSQL URL",
		"postgres://u:a@b@db.example/x":                                  "",
		"postgres://u:12%2Fsecret%40@db.example/x":                       "",
		"postgres://db.example/x?user=u@s&password=a@":                   "",
		"postgres://u@db.example/x?sslmode=verify-full&pool_max_conns=2": "",
		"host=db.example user=u password=a;b":                            "",
		"host=db.example user=u password='a;b=c'":                        "",
		"postgres:///x?host=/run/postgresql&user=u":                      "",
	} {
		got := wrongDatabaseURL(url)
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
		if strings.Contains(got, "secret") || want != "" && !strings.Contains(got, "%40") {
			t.Errorf("%s: %q shows a secret, or not how to escape one", url, got)
		}
	}
}

func TestDatabaseInTheClear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url    string
		warned bool
		stated bool
	}{
		{"postgres://u:p@db.example/x", true, false},
		{"postgres://u:p@db.example/x?sslmode=prefer", true, true},
		{"postgres://u:p@db.example/x?sslmode=disable", true, true},
		{"postgres://u:p@db.example/x?connect_timeout=2&sslmode=require", true, true},
		{"host=db.example sslmode=verify-ca", true, true},
		{"host=db.example,/run/postgresql", true, false},
		{"host=/run/postgresql,db.example", true, false},
		{"postgres://u:p@db.example/x?sslmode=verify-full", false, false},
		{"postgres://u:p@localhost/x", false, false},
		{"postgres://u:p@127.0.0.1:5433/x?sslmode=disable", false, false},
		{"postgres://u:p@[::1]/x", false, false},
		{"postgres:///x?host=/run/postgresql", false, false},
		{LocalDatabase, false, false},
	} {
		warning, stated := databaseInTheClear(c.url)
		if (warning != "") != c.warned || stated != c.stated {
			t.Errorf("%s: %q, %v, want a warning: %v, %v", c.url, warning, stated, c.warned, c.stated)
		}
		if c.warned && (!strings.Contains(warning, "db.example") || !strings.Contains(warning, "sslmode=verify-full")) {
			t.Errorf("%s: %q names neither the host nor the way out", c.url, warning)
		}
	}
}

// A URL that says itself how it is to be is heeded at the start; check asks all the same.
func TestLoad_warnsOfADatabaseInTheClear(t *testing.T) {
	t.Parallel()
	for url, want := range map[string][2]bool{ // in the log, in check
		"postgres://u:p@db.example/x":                     {true, false},
		"postgres://u:p@db.example/x?sslmode=disable":     {false, true},
		"postgres://u:p@db.example/x?sslmode=verify-full": {false, false},
	} {
		for _, load := range []func() (*Config, error){
			func() (*Config, error) { return load(t, "database_url: "+url+"\n"+minimal, nil) },
			func() (*Config, error) {
				return Load(Options{LookupEnv: environment{"DATABASE_URL": url}.lookup, Needs: NeedsDatabase})
			},
		} {
			c, err := load()
			if err != nil {
				t.Fatal(err)
			}
			if got := [2]bool{len(c.Warnings) > 0, c.Database.Warning != ""}; got != want {
				t.Errorf("%s: warnings %v, in check %q", url, c.Warnings, c.Database.Warning)
			}
		}
	}
}
