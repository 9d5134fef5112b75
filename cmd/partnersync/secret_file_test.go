package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExposed(t *testing.T) {
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
		got := exposed(filepath.Join(t.TempDir(), "secret"), tt.mode, tt.ours)
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
	if got := exposure(filepath.Join(dir, "contoso")); got != "" {
		t.Errorf("in a volume of Kubernetes: %s", got)
	}
	plain := filepath.Join(dir, "plain")
	ok(os.WriteFile(plain, []byte("x"), 0o600))
	ok(os.Symlink(plain, filepath.Join(dir, "link"))) // whose own mode lets everybody read
	if got := exposure(filepath.Join(dir, "link")); got != "" {
		t.Errorf("a link to a file of ours alone: %s", got)
	}
	ok(os.Chmod(plain, 0o604))
	if got := exposure(filepath.Join(dir, "link")); !strings.Contains(got, "every user") {
		t.Errorf("a link to everybody's file: %q", got)
	}
	if got := exposure(filepath.Join(dir, "missing")); got != "" {
		t.Errorf("a file that is not there: %s", got)
	}
}
