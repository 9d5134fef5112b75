package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRun_billOfThisTest(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(self, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the same program gave two bills")
	}
	var got bill
	decoder := json.NewDecoder(&first)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Format != "CycloneDX" || got.SpecVersion != "1.6" || got.Metadata.Component.Name != "partnersync" {
		t.Errorf("the bill is %+v", got)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || len(got.Components) != len(info.Deps)+1 {
		t.Fatalf("%d components of %d modules and the standard library", len(got.Components), len(info.Deps))
	}
	seen := map[string]bool{}
	for _, c := range got.Components {
		seen[c.Name] = true
		if c.Name != "std" && (len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64) {
			t.Errorf("%s has hashes %v", c.Name, c.Hashes)
		}
	}
	for _, m := range append(info.Deps, &debug.Module{Path: "std"}) {
		if !seen[m.Path] {
			t.Errorf("%s is missing", m.Path)
		}
	}
}

func TestBillOf(t *testing.T) {
	t.Parallel()
	got, err := billOf(&debug.BuildInfo{
		GoVersion: "go1.26.8 X:jsonv2",
		Main:      debug.Module{Path: "partnersync", Version: "v0.1.0+dirty"},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	std := part{Type: "library", Ref: "pkg:golang/std@1.26.8", Name: "std", Version: "1.26.8", PURL: "pkg:golang/std@1.26.8"}
	a := part{
		Type: "library", Ref: "pkg:golang/example.com/a@v1.0.0", Name: "example.com/a", Version: "v1.0.0", PURL: "pkg:golang/example.com/a@v1.0.0",
		Hashes: []hash{{"SHA-256", strings.Repeat("00", 32)}},
	}
	c := part{Type: "library", Ref: "pkg:golang/example.com/c@v2.0.0", Name: "example.com/c", Version: "v2.0.0", PURL: "pkg:golang/example.com/c@v2.0.0"}
	program := part{
		Type: "application", Ref: "pkg:golang/partnersync@v0.1.0%2Bdirty", Name: "partnersync", Version: "v0.1.0+dirty",
		PURL: "pkg:golang/partnersync@v0.1.0%2Bdirty", Properties: []property{{"go:build:GOOS", "linux"}},
	}
	want := bill{
		Format: "CycloneDX", SpecVersion: "1.6", SerialNumber: got.SerialNumber, Version: 1, Metadata: metadata{program},
		Components: []part{std, a, c}, Dependencies: []relation{{program.Ref, []string{std.Ref, a.Ref, c.Ref}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(got.SerialNumber, "urn:uuid:") {
		t.Errorf("the serial number is %q", got.SerialNumber)
	}
}

func TestBillOf_checksumOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, sum := range []string{"h2:AAAA", "h1:?"} {
		_, err := billOf(&debug.BuildInfo{Deps: []*debug.Module{{Path: "example.com/a", Sum: sum}}})
		if err == nil || !strings.Contains(err.Error(), "checksum of example.com/a") {
			t.Errorf("%s: %v", sum, err)
		}
	}
}

func TestRun_noProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(path, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "name a program that Go built") {
		t.Errorf("got %v", err)
	}
}
