package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is put into the environment from a file may end with a line break.
func TestRun_lineBreaksAtTheEndOfTheEnvironmentsValues(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	content := "lease: ${LEASE}\npartners:\n  - name: ${NAME}\n    tenant_id: ${TENANT}\n    client_id: 22222222-2222-2222-2222-222222222222\n    client_secret: ${SECRET}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{
		"LEASE": "60s\n", "NAME": "contoso\r\n", "TENANT": "contoso.onmicrosoft.com\n", "SECRET": "s\n\n",
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nowhere\r\n", "PARTNERSYNC_CONFIG": path + "\n",
	}
	lookup := func(name string) (string, bool) {
		value, set := environment[name]
		return value, set
	}
	var out, errs bytes.Buffer
	run(t.Context(), []string{"migrate", "status"}, lookup, strings.NewReader(""), &out, &errs)
	if !strings.Contains(errs.String(), "connecting to the database") { // which comes after the configuration
		t.Errorf("got %s%s", &out, &errs)
	}
}
