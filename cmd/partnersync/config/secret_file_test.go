package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExposure_byMode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		mode fs.FileMode
		ours bool
		want string // in the warning; "": there is none
	}{
		{"ours alone", 0o600, true, ""},
		{"ours, to write to all", 0o622, true, ""},
		{"ours and our group's", 0o640, true, "by its group; take that away with chmod 600"},
		{"root's, for us by our group", 0o640, false, ""},
		{"ours and everybody's", 0o604, true, "by every user of this machine; take that away with chmod 600"},
		{"root's and everybody's", 0o444, false, "let its owner take that away: chmod 600, or 640 with a group"},
	}
	for _, tt := range tests {
		got := exposure(filepath.Join(t.TempDir(), "secret"), tt.mode, tt.ours)
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q in it", tt.name, got, tt.want)
		}
	}
}

// TestExposure_followsLinks reads a volume as the kubelet lays it out, and a link that anybody makes.
func TestExposure_followsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const version = "..2026_01_31_18_00_00.123456789"
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(os.Mkdir(filepath.Join(dir, version), 0o755))
	file := filepath.Join(dir, version, "contoso")
	ok(os.WriteFile(file, []byte("x"), 0o600))
	ok(os.Chmod(file, 0o644))
	ok(os.Symlink(version, filepath.Join(dir, "..data")))
	ok(os.Symlink(filepath.Join("..data", "contoso"), filepath.Join(dir, "contoso")))
	if got := Exposure(filepath.Join(dir, "contoso")); got != "" {
		t.Errorf("in a volume of Kubernetes: %s", got)
	}
	plain := filepath.Join(dir, "plain")
	ok(os.WriteFile(plain, []byte("x"), 0o600))
	ok(os.Symlink(plain, filepath.Join(dir, "link"))) // whose own mode lets everybody read
	if got := Exposure(filepath.Join(dir, "link")); got != "" {
		t.Errorf("a link to a file of ours alone: %s", got)
	}
	ok(os.Chmod(plain, 0o604))
	if got := Exposure(filepath.Join(dir, "link")); !strings.Contains(got, "every user") {
		t.Errorf("a link to everybody's file: %q", got)
	}
	if got := Exposure(filepath.Join(dir, "missing")); got != "" {
		t.Errorf("a file that is not there: %s", got)
	}
}

func TestLoad_statusPagePassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, file, want, mistake, warning string
	}{
		{"a line", write("line", "hush-hush-page \n", 0o600), "hush-hush-page ", "", ""},
		{"of Windows", write("windows", "\ufeffhush-hush-page\r\n", 0o600), "hush-hush-page", "", ""},
		{"short", write("short", "hush-hush-!\n", 0o600), "", "holds a password of less than 12 characters", ""},
		{"readable by others", write("open", "hush-hush-page", 0o644), "hush-hush-page", "",
			"can be read by every user of this machine"},
		{"empty", write("empty", " \n", 0o600), "", "holds no password", ""},
		{"two lines", write("two", "hush-page\nhush\n", 0o600), "", "holds more than one line", ""},
		{"none", filepath.Join(dir, "none"), "", "cannot be read", ""},
	} {
		path := write("partnersync.yaml",
			minimal+"database_url: local\nstatus_page_password_file: "+c.file+"\ncustomer_metrics: true\n", 0o600)
		got, err := Load(Options{Path: path, LookupEnv: environment{}.lookup})
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: error %v, want %s", c.name, err, c.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got.StatusPagePassword.Reveal()); diff != "" || !got.CustomerMetrics {
			t.Errorf("%s: customer_metrics %v (-want +got)\n%s", c.name, got.CustomerMetrics, diff)
		}
		if warnings := strings.Join(got.Warnings, "\n"); !strings.Contains(warnings, c.warning) || c.warning == "" &&
			warnings != "" {
			t.Errorf("%s: warnings %q, want %q", c.name, warnings, c.warning)
		}
	}
}

// A secret in place of its file's name is not shown.
func TestLoad_secretsInPlaceOfTheirFiles(t *testing.T) {
	t.Parallel()
	const hidden = "the value (not shown, since it looks like a secret and not like a file's name) cannot be read"
	for _, secret := range []string{
		"hush8Q~abcdefghijklmnopqrstuvwxyz1234567", "hush8Qabc.DefGhi", "hush", "'hush hush hush'", "hush/aB3aB3aB3aB3+x==",
		"whsec_hushAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "/hushaB3aB3aB3",
	} {
		for key, content := range map[string]string{
			"client_secret_file": credential("client_secret_file: " + secret), "federated_token_file": credential("federated_token_file: " + secret),
			"client_certificate_file": credential("client_certificate_file: " + secret), "database_url_file": "database_url_file: " + secret + "\n" + minimal,
			"status_page_password_file": "status_page_password_file: " + secret + "\n" + minimal,
			"secret_file":               notified("url: http://localhost/", "secret_file: "+secret),
		} {
			env := environment{"DATABASE_URL": databaseURL}
			if key == "database_url_file" {
				env = nil // or it would not be read
			}
			_, err := load(t, content, env)
			if got := fmt.Sprint(err); !strings.Contains(got, key+": "+hidden) || strings.Contains(got, "hush") {
				t.Errorf("%s: %s: %s", key, secret, got)
			}
		}
	}
	got := strings.Join(mistakesOf(t, "token_key_file: AGE-SECRET-KEY-1HUSH\n"+credential("app_user: true")), "\n")
	if !strings.Contains(got, "token_key_file: is the key itself") || strings.Contains(got, "HUSH") {
		t.Errorf("a key in place of its file: %s", got)
	}
	for _, path := range []string{
		"/nowhere/contoso", "./contoso", "contoso.key", "C:\\secrets\\contoso", "../Contoso.Secret", "~/contoso", "/run/secrets/Contoso-Production",
	} {
		got := strings.Join(mistakesOf(t, credential("client_secret_file: "+path)), "\n")
		if strings.Contains(got, "not shown") {
			t.Errorf("%s is not shown: %s", path, got)
		}
	}
}

// A configuration that holds secrets is a secret file, and so is the key of users' tokens.
func TestLoad_warnsOfSecretsThatOthersCanRead(t *testing.T) {
	t.Parallel()
	const of, key = "partnersync.yaml holds secrets and can be read by every user", "partnersync.key\" can be read by every user"
	fromEnvironment := credential("client_secret: ${CONTOSO_CLIENT_SECRET}")
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"a secret":                   {minimal, 0o644, of},
		"a secret, for us alone":     {minimal, 0o600, ""},
		"none":                       {fromEnvironment, 0o644, ""},
		"a webhook's URL":            {fromEnvironment + "notify:\n  - url: https://hooks.example.com/x\n", 0o644, of},
		"a webhook's secret":         {fromEnvironment + "notify:\n  - url: ${HOOK}\n    secret: " + webhookKey + "\n", 0o644, of},
		"a database's password":      {"database_url: postgres://u:p@localhost/x\n" + fromEnvironment, 0o644, of},
		"a password among keywords":  {"database_url: host=localhost password=p\n" + fromEnvironment, 0o644, of},
		"a database without one":     {"database_url: postgres://u@localhost:5432/x?user=a@b\n" + fromEnvironment, 0o644, ""},
		"a database's in a variable": {"database_url: postgres://u:${EMPTY}@localhost/x\n" + fromEnvironment, 0o644, ""},
		"a key of users' tokens":     {"token_key_file: DIR/partnersync.key\n" + credential("app_user: true"), 0o600, key},
		"a key that nobody uses":     {"token_key_file: DIR/partnersync.key\n" + fromEnvironment, 0o600, ""},
	} {
		dir := t.TempDir()
		path, content := filepath.Join(dir, "partnersync.yaml"), strings.ReplaceAll(c.content, "DIR", dir)
		for file, text := range map[string]string{path: content, filepath.Join(dir, "partnersync.key"): "x"} {
			mode := c.mode
			if file != path {
				mode = 0o644
			}
			if err := os.WriteFile(file, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		env := environment{"CONTOSO_CLIENT_SECRET": contosoSecret, "HOOK": "https://h/", "EMPTY": ""}
		if !strings.HasPrefix(content, "database_url") {
			env["DATABASE_URL"] = databaseURL
		}
		got, err := Load(Options{Path: path, LookupEnv: env.lookup})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if warnings := strings.Join(got.Warnings, "\n"); !strings.Contains(warnings, c.want) || c.want == "" && warnings != "" {
			t.Errorf("%s: warnings %q, want %q", name, warnings, c.want)
		}
	}
}

// The URL in the file is read again for each connection, and nothing of it is shown.
func TestLoad_databaseURLFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres://u:first@db/x\n")
	file := "database_url_file: " + path + "\n" + minimal
	c, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"postgres://u:first@db/x", "postgres://u:second@db/x"} {
		write(url + "\r\n")
		if got, err := c.Database.ReadURL(); err != nil || got != url {
			t.Errorf("read %q, %v, want %q", got, err, url)
		}
	}
	write("mysql://u:hush@db/x")
	if _, err := c.Database.ReadURL(); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error that shows nothing of the URL", err)
	}
	if _, err := load(t, file, nil); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want a mistake that shows nothing of the URL", err)
	}
	_, err = load(t, "database_url: postgres://db/y\n"+file, nil)
	if err == nil || !strings.Contains(err.Error(), "database_url_file: is there beside database_url") {
		t.Errorf("got %v, want that both keys are there", err)
	}
}
