package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// The identities of the scripts' federated tokens.
const (
	testIssuer  = "https://cluster.test"
	testSubject = "system:serviceaccount:sync:partnersync"
)

// testKey is made once: it takes a while.
var testKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signinCommand is what users and administrators do at the authority:
//
//	signin enters FILE USER            a user enters the code that the file shows, as soon as it does
//	signin refresh FILE USER           writes a refresh token of a user, as another program got it
//	signin certificate FILE DAYS       writes a certificate that the application has registered, good for so long
//	signin federated FILE              writes a token of an authority that the application trusts
//	signin revokes                     ends all sign-ins of users
//	signin mfa                         has users use a second factor from now on
//	signin loses                       breaks the next answer of the authority off in the middle
func signinCommand(ts *testscript.TestScript, _ bool, args []string) {
	api := worldOf(ts).api
	args = append(args, "", "", "")
	write := func(text string) { ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600)) }
	switch args[0] {
	case "enters":
		code := regexp.MustCompile(`enter the code (\w+)\n`)
		storetest.Eventually(ts, func() (got string, ok bool) {
			shown, _ := os.ReadFile(ts.MkAbs(args[1]))
			match := code.FindSubmatch(shown)
			return string(shown), match != nil && api.EnterCode(string(match[1]), args[2], true)
		})
	case "refresh":
		write(api.RefreshToken(args[2], false) + "\n")
	case "certificate":
		key, err := testKey()
		ts.Check(err)
		end := time.Now().Add(time.Duration(number(ts, args[2])) * 24 * time.Hour)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		ts.Check(err)
		certificate, err := x509.ParseCertificate(der)
		ts.Check(err)
		api.RegisterCertificate(certificate)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		write(string(append(text, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})...)))
	case "federated":
		key, err := testKey()
		ts.Check(err)
		api.TrustIssuer(testIssuer, testSubject, &key.PublicKey)
		write(federatedToken(ts, key))
	case "revokes":
		api.RevokeSignIns()
	case "loses":
		api.Fail(partnercentertest.Fault{Path: "/token$", Times: 1, ResetBody: true})
	case "mfa":
		api.RequireMFA(true)
	default:
		ts.Fatalf("unknown: signin %s", args[0])
	}
}

// federatedToken returns a token such as Kubernetes gives a pod.
func federatedToken(ts *testscript.TestScript, key *rsa.PrivateKey) string {
	claims, err := json.Marshal(map[string]any{
		"iss": testIssuer, "sub": testSubject, "aud": "api://AzureADTokenExchange", "exp": time.Now().Add(time.Hour).Unix(),
	})
	ts.Check(err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	ts.Check(err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature) + "\n"
}

// tokenLike is what tokens look like: those for access, those of other authorities and assertions; refresh tokens, keys.
var tokenLike = regexp.MustCompile(`eyJ[\w-]{20}|1\.A[A-Z2-7]{20}|AGE-SECRET-KEY|BEGIN (RSA )?PRIVATE`)

func TestLoadConfig_workloadIdentity(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/token"
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := environment{
		"DATABASE_URL": databaseURL, azureTenant: "11111111-1111-1111-1111-111111111111", azureClient: "app", azureToken: path,
		azureAuthority: "https://login.microsoftonline.us/",
	}
	const named = "partners:\n  - name: contoso\n"
	tests := []struct {
		name, content                     string
		tenant, client, file, authorityIs string
		cloud                             string
	}{
		{"all from the pod", named, "11111111-1111-1111-1111-111111111111", "app", path, "https://login.microsoftonline.us/", "usgov"},
		{"its own ids", named + "    tenant_id: t\n    client_id: c\n", "t", "c", path, "https://login.microsoftonline.us/", "usgov"},
		{"its own cloud", named + "    cloud: china\n", "11111111-1111-1111-1111-111111111111", "app", path, "", "china"},
		{"its own authority", named + "    authority_url: https://login.test\n", "11111111-1111-1111-1111-111111111111", "app", path, "https://login.test", "global"},
		{"its own file", named + "    federated_token_file: " + path + "\n", "11111111-1111-1111-1111-111111111111", "app", path, "https://login.microsoftonline.us/", "usgov"},
		{"a secret", minimal, "contoso.onmicrosoft.com", "6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90", "", "", "global"},
	}
	for _, tt := range tests {
		c, err := load(t, tt.content, pod)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		p := c.Partners[0]
		if p.TenantID != tt.tenant || p.ClientID != tt.client || p.FederatedTokenFile != tt.file || p.AuthorityURL != tt.authorityIs || p.Cloud != tt.cloud {
			t.Errorf("%s: %+v", tt.name, p)
		}
	}
	pod[azureToken] = "/nowhere"
	pod[azureAuthority] = "login"
	_, err := load(t, named, pod)
	for _, want := range []string{
		`AZURE_FEDERATED_TOKEN_FILE in the environment: "/nowhere" cannot be read`, "AZURE_AUTHORITY_HOST in the environment: is no URL",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestLoadConfig_podsAuthorityTellsTheCloud(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/token"
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := environment{"DATABASE_URL": databaseURL, azureTenant: "contoso", azureClient: "app", azureToken: path}
	tests := []struct{ host, cloud, api, warning string }{
		{"https://login.microsoftonline.com/", "global", "https://api.partnercenter.microsoft.com", ""},
		{"https://LOGIN.microsoftonline.us", "usgov", "https://api.partnercenter.microsoft.com", "AZURE_AUTHORITY_HOST in the environment: the API documentation promises"},
		{"https://login.microsoftonline.de/", "germany", "https://api.partnercenter.microsoft.com", "no longer has the cloud germany"},
		{"https://login.chinacloudapi.cn/", "china", "https://partner.partnercenterapi.microsoftonline.cn", "expect refusals in china"},
		{"https://login.partner.microsoftonline.cn/", "china", "https://partner.partnercenterapi.microsoftonline.cn", "expect refusals in china"},
		{"https://login.test/", "global", "https://api.partnercenter.microsoft.com", ""},
		{"http://login.test/", "global", "https://api.partnercenter.microsoft.com", "AZURE_AUTHORITY_HOST in the environment: http:// off this machine"},
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
		if cred := p.credentials(nil); p.Cloud != tt.cloud || cred.AuthorityURL != tt.host || cred.Scope != tt.api+"/.default" {
			t.Errorf("%s: cloud %s, authority %s, scope %s", tt.host, p.Cloud, cred.AuthorityURL, cred.Scope)
		}
		if all := strings.Join(c.Warnings, "\n"); !strings.Contains(all, tt.warning) || tt.warning == "" && all != "" {
			t.Errorf("%s: warnings %q", tt.host, all)
		}
	}
}
