package config

import (
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
		{"a line", write("line", "hush-page \n", 0o600), "hush-page ", "", ""},
		{"readable by others", write("open", "hush-page", 0o644), "hush-page", "",
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
