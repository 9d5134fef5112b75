package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

// Secrets of the tests have a mark in them, by which they are found wherever they come to light.
const (
	mark         = "hush-"
	clientSecret = mark + "client"
	password     = mark + "database"
)

// defaultConfig is the configuration of a test that brings none.
const defaultConfig = `partners:
  - name: contoso
    tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: ${CLIENT_SECRET}
    api_url: ${API_URL}
    authority_url: ${API_URL}
`

// environment holds variables of one.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	text, ok := e[name]
	return text, ok
}

// list returns the variables, added to those of this process.
func (e environment) list() []string {
	all := os.Environ()
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

// withoutServers is an environment for defaultConfig in which neither the database nor the API answers.
func withoutServers() environment {
	const nothing = "127.0.0.1:1" // nothing listens there
	return environment{
		"DATABASE_URL": "postgres://" + nothing + "/none", "API_URL": "http://" + nothing,
		"CLIENT_SECRET": clientSecret,
	}
}

// world is what the program works with: an emulated API, a configuration for it, and the environment that this needs.
type world struct {
	t      *testing.T
	api    *partnercentertest.Emulator
	server *httptest.Server // of the API
	dir    string
	config string // path
	env    environment
}

// newWorld makes a world of the test's own. The configuration is defaultConfig with more of the partner's keys.
func newWorld(t *testing.T, databaseURL, more string, o partnercentertest.Options) *world {
	t.Helper()
	o.ClientSecret = clientSecret
	w := &world{t: t, api: partnercentertest.New(o), dir: t.TempDir()}
	w.server = httptest.NewServer(w.api)
	t.Cleanup(w.server.Close)
	w.env = environment{"DATABASE_URL": databaseURL, "API_URL": w.server.URL, "CLIENT_SECRET": clientSecret}
	w.config = filepath.Join(w.dir, "partnersync.yaml")
	if err := os.WriteFile(w.config, []byte(defaultConfig+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// customers adds so many, each with a batch in the status.
func (w *world) customers(n int, status string) {
	for i := range n {
		w.api.AddCustomer(partnercentertest.Customer{ID: customerID(i + 1), CompanyName: "Contoso"})
	}
	w.status(n, status)
}

// status gives the batch of each customer another one.
func (w *world) status(customers int, status string) {
	for i := range customers {
		w.api.PutBatch(customerID(i+1), partnercentertest.Batch{ID: "b", Status: status, DevicesCount: 5})
	}
}
