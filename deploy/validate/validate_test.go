// Package validate checks the files that partnersync is deployed with, compose.yaml, Dockerfile and the Kubernetes
// manifests, by the libraries of the programs that read them. It is a module of its own, so that partnersync has none of
// these dependencies.
package validate

import (
	"os"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// TestCompose_readsAsDockerDoes reads compose.yaml as docker compose does: strictly, and by its schema.
func TestCompose_readsAsDockerDoes(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stages := stagesOf(t, "../Dockerfile")
	for name, s := range project.Services {
		if s.Build != nil {
			if s.Build.Target == "" || !stages[s.Build.Target] {
				t.Errorf("service %s is built from stage %q, which the Dockerfile has not", name, s.Build.Target)
			}
			if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" {
				t.Errorf("service %s may do more than it needs", name)
			}
			if s.Privileged || s.User == "root" {
				t.Errorf("service %s runs as root", name)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("service %s can be reached from other machines at port %s", name, port.Published)
			}
		}
	}
	if command := project.Services["emulator"].Command; !slices.Contains(command, "0.0.0.0:8470") { // where trial.yaml looks for it
		t.Errorf("the emulator is run with %v", command)
	}
	if got := *project.Services["partnersync"].Environment["DATABASE_URL"]; got != "postgres://partnersync:trial@db/partnersync?sslmode=disable" {
		t.Errorf("the database is %s", got)
	}
	for name, c := range project.Configs {
		if _, err := os.Stat(c.File); c.Content == "" && err != nil {
			t.Errorf("configuration %s: %v", name, err)
		}
	}
}

// stagesOf reads the Dockerfile as docker build does, with the rules of its linter, and returns the names of its stages.
func stagesOf(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("%s: %s", path, w.Short)
	}
	rules := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		t.Errorf("%s:%d: %s: %s", path, line, rule, message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, rules)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range stages {
		names[s.Name] = true
	}
	return names
}

// TestDockerfile_imagesRunAsNobody looks at each stage that becomes an image.
func TestDockerfile_imagesRunAsNobody(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	images := 0
	for _, s := range stages {
		if s.BaseName != "scratch" {
			continue
		}
		images++
		user, shell := "", false
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.EntrypointCommand:
				shell = shell || c.PrependShell
			case *instructions.CmdCommand:
				shell = shell || c.PrependShell
			case *instructions.HealthCheckCommand:
				shell = shell || c.Health.Test[0] != "CMD"
			}
		}
		if user != "65532:65532" {
			t.Errorf("stage %s runs as %q", s.Name, user)
		}
		if shell {
			t.Errorf("stage %s needs a shell, and has none", s.Name)
		}
	}
	if images != 2 || stages[len(stages)-1].Name != "partnersync" {
		t.Errorf("%d images; the last, which is built by default, is %s", images, stages[len(stages)-1].Name)
	}
}
