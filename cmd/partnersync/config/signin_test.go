package config

import (
	"os"
	"strings"
	"testing"
)

// Ids of applications.
const (
	app   = "22222222-2222-2222-2222-222222222222"
	other = "33333333-3333-3333-3333-333333333333"
)

func TestLoad_workloadIdentity(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/token"
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := environment{
		"DATABASE_URL": databaseURL, azureTenant: "11111111-1111-1111-1111-111111111111", azureClient: app,
		azureToken:     path,
		azureAuthority: "https://login.microsoftonline.us/",
	}
	const named = "partners:\n  - name: contoso\n"
	tests := []struct {
		name, content                     string
		tenant, client, file, authorityIs string
		cloud                             string
	}{
		{"all from the pod", named, "11111111-1111-1111-1111-111111111111", app, path,
			"https://login.microsoftonline.us/", "usgov"},
		{"its own ids", named + "    tenant_id: t.example\n    client_id: " + other + "\n", "t.example", other, path,
			"https://login.microsoftonline.us/", "usgov"},
		{"its own cloud", named + "    cloud: china\n", "11111111-1111-1111-1111-111111111111", app, path, "",
			"china"},
		{"its own authority", named + "    authority_url: https://login.test\n", "11111111-1111-1111-1111-111111111111",
			app, path, "https://login.test", "global"},
		{"its own file", named + "    federated_token_file: " + path + "\n", "11111111-1111-1111-1111-111111111111",
			app, path, "https://login.microsoftonline.us/", "usgov"},
		{"a secret", minimal, "contoso.onmicrosoft.com", "6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90", "", "", "global"},
	}
	for _, tt := range tests {
		c, err := load(t, tt.content, pod)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		p := c.Partners[0]
		if p.TenantID != tt.tenant || p.ClientID != tt.client || p.FederatedTokenFile != tt.file ||
			p.AuthorityURL != tt.authorityIs || p.Cloud != tt.cloud {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
	pod[azureToken] = "/nowhere"
	pod[azureAuthority], pod[azureTenant], pod[azureClient] = "login", "contoso", "hunter2"
	_, err := load(t, named, pod)
	for _, want := range []string{
		`AZURE_TENANT_ID in the environment: "contoso" is not a tenant; write its GUID`,
		"AZURE_CLIENT_ID in the environment: is not a GUID",
		`AZURE_FEDERATED_TOKEN_FILE in the environment: "/nowhere" cannot be read`,
		"AZURE_AUTHORITY_HOST in the environment: is not a URL",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestLoad_podsAuthorityTellsTheCloud(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/token"
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := environment{"DATABASE_URL": databaseURL, azureTenant: "contoso.example", azureClient: app, azureToken: path}
	tests := []struct{ host, cloud, api, warning string }{
		{"https://login.microsoftonline.com/", "global", "https://api.partnercenter.microsoft.com", ""},
		{"https://LOGIN.microsoftonline.us", "usgov", "https://api.partnercenter.microsoft.com",
			"AZURE_AUTHORITY_HOST in the environment: the API documentation promises"},
		{"https://login.microsoftonline.de/", "germany", "https://api.partnercenter.microsoft.com",
			"no longer has the cloud germany"},
		{"https://login.chinacloudapi.cn/", "china", "https://partner.partnercenterapi.microsoftonline.cn",
			"expect refusals in china"},
		{"https://login.partner.microsoftonline.cn/", "china", "https://partner.partnercenterapi.microsoftonline.cn",
			"expect refusals in china"},
		{"https://login.test/", "global", "https://api.partnercenter.microsoft.com", ""},
		{"http://login.test/", "global", "https://api.partnercenter.microsoft.com",
			"AZURE_AUTHORITY_HOST in the environment: http:// off this machine"},
		{"http://127.0.0.1:1/", "global", "https://api.partnercenter.microsoft.com", ""},
	}
	for _, tt := range tests {
		pod[azureAuthority] = tt.host
		c, err := load(t, "partners:\n  - name: contoso\n", pod)
		if err != nil {
			t.Errorf("%s: %v", tt.host, err)
			continue
		}
		p := c.Partners[0]
		if cred := p.Credentials(); p.Cloud != tt.cloud || cred.AuthorityURL != tt.host ||
			cred.Scope != tt.api+"/.default" {
			t.Errorf("%s: cloud %s, authority %s, scope %s", tt.host, p.Cloud, cred.AuthorityURL, cred.Scope)
		}
		if all := strings.Join(c.Warnings, "\n"); !strings.Contains(all, tt.warning) || tt.warning == "" && all != "" {
			t.Errorf("%s: warnings %q", tt.host, all)
		}
	}
}
