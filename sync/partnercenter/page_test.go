package partnercenter

import (
	"net/url"
	"strings"
	"testing"
)

func TestResolve_keepsToTheAPI(t *testing.T) {
	t.Parallel()
	const bare, prefixed = "https://host", "https://host:8443/pre/fix"
	tests := []struct{ base, uri, want string }{
		{bare, "/customers?size=500", "https://host/v1/customers?size=500"},
		{bare, "customers?size=500", "https://host/v1/customers?size=500"},
		{bare, "/v1/customers?size=500&seekOperation=Next", "https://host/v1/customers?size=500&seekOperation=Next"},
		{bare, "/V1/customers", "https://host/V1/customers"},
		{bare, "/v1", "https://host/v1"},
		{bare, "/v10/customers", "https://host/v1/v10/customers"},
		{bare, "/customers/v1/x", "https://host/v1/customers/v1/x"},
		{bare, "  /customers  ", "https://host/v1/customers"},
		{bare, "?page=2", "https://host/v1/current?page=2"},
		{bare, "/a b/c%20d?q=e f", "https://host/v1/a%20b/c%20d?q=e%20f"},
		{bare, "/a?size=2?seekOperation=Next", "https://host/v1/a?size=2&seekOperation=Next"},
		{bare, "/batches/a#b/devices", "https://host/v1/batches/a%23b/devices"},
		{bare, "https://host/v1/customers?x=1", "https://host/v1/customers?x=1"},
		{bare, "HTTPS://HOST:443/customers", "https://host/v1/customers"},
		{bare, "//host/v1/customers", "https://host/v1/customers"},
		{bare, "/v1//customers", "https://host/v1//customers"},
		{bare, "/customers?back=https://elsewhere/", "https://host/v1/customers?back=https://elsewhere/"},
		{prefixed, "/customers", "https://host:8443/pre/fix/v1/customers"},
		{prefixed, "/v1/customers", "https://host:8443/pre/fix/v1/customers"},
		{prefixed, "/pre/fix/v1/customers", "https://host:8443/pre/fix/v1/customers"},
		{prefixed, "https://host:8443/pre/fix/v1/customers", "https://host:8443/pre/fix/v1/customers"},
		{prefixed, "?page=2", "https://host:8443/pre/fix/v1/current?page=2"},
		{bare, "https://elsewhere/v1/customers", ""},
		{bare, "https://host.elsewhere/v1", ""},
		{bare, "https://host@elsewhere/v1", ""},
		{bare, "https://elsewhere@host/v1", ""},
		{bare, `https://elsewhere\@host/v1`, ""},
		{bare, "http://host/v1/customers", ""},
		{bare, "https://host:8443/v1/customers", ""},
		{prefixed, "https://host/v1/customers", ""},
		{bare, "//elsewhere/v1/customers", ""},
		{bare, "//v1/customers", ""},
		{bare, "/a%", ""},
		{bare, "/a\nb", ""},
	}
	for _, tt := range tests {
		base := mustParse(t, tt.base)
		got, err := resolve(base, mustParse(t, tt.base+"/v1/current?page=1"), tt.uri)
		switch {
		case tt.want == "":
			if err == nil {
				t.Errorf("%q: %v, want an error", tt.uri, got)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.uri, err)
		case got.String() != tt.want:
			t.Errorf("%q: %v, want %v", tt.uri, got, tt.want)
		}
	}
}

func TestResolve_knowsItsOwnPathWithRawNames(t *testing.T) {
	t.Parallel()
	const current = "https://host/pre/fix/v1/customers/c/deviceBatches/50%25%20a%2Fb%3F/devices"
	tests := []struct{ uri, want string }{
		{"/customers/c/deviceBatches/50% a/b?/devices", current},
		{"customers/c/deviceBatches/50% a/b?/devices?size=2", current + "?size=2"},
		{"/v1/customers/c/deviceBatches/50% a/b?/devices?size=2?q=a b", current + "?size=2&q=a%20b"},
		{"/pre/fix/v1/customers/c/deviceBatches/50% a/b?/devices?size=2", current + "?size=2"},
		{"https://host/v1/customers/c/deviceBatches/50% a/b?/devices?size=2", current + "?size=2"},
		{"/customers/c/deviceBatches/50%25%20a%2Fb%3F/devices?size=2", current + "?size=2"},
		{"?size=2", current + "?size=2"},
		{"/customers/c/deviceBatches/50% a/b?/devices2", ""},
		{"/customers/c/deviceBatches/50% a/b", ""},
		{"https://elsewhere/v1/customers/c/deviceBatches/50% a/b?/devices", ""},
	}
	for _, tt := range tests {
		got, err := resolve(mustParse(t, "https://host/pre/fix"), mustParse(t, current+"?page=1"), tt.uri)
		switch {
		case tt.want == "":
			if err == nil {
				t.Errorf("%q: %v, want an error", tt.uri, got)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.uri, err)
		case got.String() != tt.want:
			t.Errorf("%q: %v, want %v", tt.uri, got, tt.want)
		}
	}
}

func TestSeekNext_addsTheOperationOnce(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"https://host/v1/x", "https://host/v1/x?seekOperation=Next"},
		{"https://host/v1/x?size=500", "https://host/v1/x?size=500&seekOperation=Next"},
		{"https://host/v1/x?seekoperation=next", "https://host/v1/x?seekoperation=next"},
	}
	for _, tt := range tests {
		if got := seekNext(mustParse(t, tt.url)).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.url, got, tt.want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, uri := range []string{
		"/customers?size=500", "/v1/a b?c?d", "https://host/x", "https://elsewhere/x", "//host/x", "///x", `\\host\x`, "?",
		"#",
		"https://host", "https:", "/pre/fix/v1", "../..", "https://host:443@x/", "\u2215/x",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		base := mustParse(t, "https://host/pre/fix")
		u, err := resolve(base, mustParse(t, "https://host/pre/fix/v1/current"), uri)
		if err != nil {
			return
		}
		if u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil || u.Fragment != "" {
			t.Errorf("%q leads to %v", uri, u)
		}
		if !strings.HasPrefix(strings.ToLower(u.EscapedPath()), "/pre/fix/v1") {
			t.Errorf("%q leads out of the API: %v", uri, u)
		}
		if again, err := resolve(base, u, u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q: %v leads on to %v (%v)", uri, u, again, err)
		}
	})
}

func FuzzResolve_rawNames(f *testing.F) {
	for _, name := range []string{"Test batch", "a/b", "50%", "a?b=c?", "#", "..", "a%20b", "\x00\xff", "//x", "https://x"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		own := mustParse(t, "https://host/pre/fix/v1/batches/"+url.PathEscape(name)+"/devices")
		got, err := resolve(mustParse(t, "https://host/pre/fix"), own, "/batches/"+name+"/devices?page=2")
		if err != nil || got.String() != own.String()+"?page=2" {
			t.Errorf("%q: %v (%v)", name, got, err)
		}
	})
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
