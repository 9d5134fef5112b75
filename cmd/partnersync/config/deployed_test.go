package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

// deployed loads a configuration of deploy/, with the directory of its secrets replaced by one that has them.
func deployed(t *testing.T, path, secrets string) *Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, secret := range map[string]string{"contoso": contosoSecret, "status_page_password": "emulated-trial"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := load(t, strings.ReplaceAll(string(text), secrets, dir), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDeployed_onKubernetes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"kubernetes/base/partnersync.yaml", "kubernetes/example/partnersync.yaml"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			c := deployed(t, path, "/run/secrets/partnersync")
			if c.Listen != "0.0.0.0:9470" { // else no probe reaches it
				t.Errorf("it listens at %s", c.Listen)
			}
			if got := c.Partners[0].ClientSecret.Reveal(); got != contosoSecret {
				t.Error("the secret is not the one of the volume")
			}
			if c.Database.URL.Reveal() != databaseURL || len(c.Warnings) > 0 {
				t.Errorf("the database is not the environment's, or there are warnings: %q", c.Warnings)
			}
		})
	}
}

func TestDeployed_trialMeetsEmulator(t *testing.T) {
	t.Parallel()
	c := deployed(t, "trial.yaml", "/etc/partnersync")
	if c.StatusPagePassword == "" {
		t.Error("the status page is shown to nobody: what is published comes from another address")
	}
	p := c.Partners[0]
	got := [3]string{p.TenantID, p.ClientID, p.ClientSecret.Reveal()}
	want := [3]string{partnercentertest.DefaultTenantID, partnercentertest.DefaultClientID,
		partnercentertest.DefaultClientSecret}
	if got != want {
		t.Errorf("the trial signs in as %q, and the emulator knows %q", got, want)
	}
	if p.APIURL != "http://emulator:8470" || p.AuthorityURL != p.APIURL {
		t.Errorf("it looks for the emulator at %s and %s", p.APIURL, p.AuthorityURL)
	}
}
