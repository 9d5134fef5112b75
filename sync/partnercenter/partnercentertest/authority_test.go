package partnercentertest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

const tenantPath = "/" + partnercentertest.DefaultTenantID

// post sends a form to an emulator without a network, and returns the answer's status and JSON.
func post(t *testing.T, e *partnercentertest.Emulator, path string, form map[string]string) (int, map[string]any) {
	t.Helper()
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	w := ask(e, newRequest(t, "POST", "http://authority.test"+path, strings.NewReader(values.Encode()), "Content-Type",
		"application/x-www-form-urlencoded"))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return w.Code, got
}

// number returns the AADSTS number of a refusal; 0 if there is none.
func number(got map[string]any) float64 {
	codes, _ := got["error_codes"].([]any)
	if len(codes) == 0 {
		return 0
	}
	return codes[0].(float64)
}

// form returns the fields of a request to the authority, together with others.
func form(grant string, others ...string) map[string]string {
	f := map[string]string{
		"grant_type": grant, "client_id": partnercentertest.DefaultClientID,
		"scope": "https://api.partnercenter.microsoft.com/.default offline_access openid",
	}
	for i := 0; i < len(others); i += 2 {
		f[others[i]] = others[i+1]
	}
	return f
}

func refresh(t *testing.T, e *partnercentertest.Emulator, token any) (int, map[string]any) {
	t.Helper()
	text, _ := token.(string)
	return post(t, e, tenantPath+"/oauth2/v2.0/token", form("refresh_token", "refresh_token", text))
}

func TestAuthority_v1GivesNumbersAsStrings(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{})
	f := map[string]string{
		"grant_type": "client_credentials", "client_id": partnercentertest.DefaultClientID,
		"client_secret": partnercentertest.DefaultClientSecret, "resource": "https://api.partnercenter.microsoft.com",
	}
	status, got := post(t, e, tenantPath+"/oauth2/token", f)
	if status != http.StatusOK || got["expires_in"] != "3599" || got["resource"] != f["resource"] ||
		len(got["expires_on"].(string)) < 10 {
		t.Errorf("%d %v", status, got)
	}
	token := got["access_token"].(string)
	if code := ask(e, newRequest(t, "GET", "/v1/customers", nil, "Authorization",
		"Bearer "+token)).Code; code != http.StatusOK {
		t.Errorf("the API answers %d to its token", code)
	}
	delete(f, "resource")
	if _, got := post(t, e, tenantPath+"/oauth2/token", f); number(got) != 900144 {
		t.Errorf("without a resource: %v", got)
	}
}

func TestRefresh_rotates(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{})
	first := e.RefreshToken("admin@contoso.example", true)
	_, one := refresh(t, e, first)
	_, again := refresh(t, e, first) // as after a crash: what came of it has not been used
	if one["refresh_token"] == first || one["refresh_token"] == again["refresh_token"] || number(again) != 0 {
		t.Fatalf("answers %v and %v", one, again)
	}
	if id, _ := one["id_token"].(string); strings.Count(id, ".") != 2 {
		t.Errorf("id token %q", id)
	}
	if _, got := refresh(t, e, one["refresh_token"]); number(got) != 0 {
		t.Fatalf("the next token: %v", got)
	}
	// From now on the first counts as stolen, and using it ends the sign-in of all.
	if status, got := refresh(t, e, first); status != http.StatusBadRequest || got["error"] != "invalid_grant" ||
		number(got) != 50173 {
		t.Errorf("reuse: %d %v", status, got)
	}
	if _, got := refresh(t, e, again["refresh_token"]); number(got) != 50173 {
		t.Errorf("another token of that sign-in: %v", got)
	}
}

func TestRefresh_ends(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		act    func(*partnercentertest.Emulator)
		number float64
	}{
		{"a day early", func(e *partnercentertest.Emulator) { e.Advance(89 * 24 * time.Hour) }, 0},
		{"idle", func(e *partnercentertest.Emulator) { e.Advance(90 * 24 * time.Hour) }, 700082},
		{"revoked", (*partnercentertest.Emulator).RevokeSignIns, 50173},
		{"access token revoked", (*partnercentertest.Emulator).RevokeTokens, 0},
	}
	for _, tt := range tests {
		e := partnercentertest.New(partnercentertest.Options{})
		token := e.RefreshToken("admin@contoso.example", true)
		tt.act(e)
		if _, got := refresh(t, e, token); number(got) != tt.number {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if _, got := refresh(t, partnercentertest.New(partnercentertest.Options{}), "unknown"); number(got) != 70000 {
		t.Errorf("unknown: %v", got)
	}
}

func TestRequireMFA_concernsUsersWithoutASecondFactor(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{})
	_, with := refresh(t, e, e.RefreshToken("with", true))
	_, without := refresh(t, e, e.RefreshToken("without", false))
	_, alone := post(t, e, tenantPath+"/oauth2/v2.0/token", map[string]string{
		"grant_type": "client_credentials", "client_id": partnercentertest.DefaultClientID,
		"client_secret": partnercentertest.DefaultClientSecret, "scope": "https://api.partnercenter.microsoft.com/.default",
	})
	status := func(token map[string]any) int {
		w := ask(e, newRequest(t, "GET", "/v1/customers", nil, "Authorization", "Bearer "+token["access_token"].(string)))
		if w.Code != http.StatusOK && !strings.Contains(w.Body.String(), `"code":"900421"`) {
			t.Errorf("refusal %s", w.Body)
		}
		return w.Code
	}
	for _, required := range []bool{false, true, false} {
		e.RequireMFA(required)
		want := []int{200, 200, 200}
		if required {
			want = []int{200, 401, 200}
		}
		if diff := cmp.Diff(want, []int{status(with), status(without), status(alone)}); diff != "" {
			t.Errorf("required %v (-want +got):\n%s", required, diff)
		}
	}
}

func TestDeviceCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := partnercentertest.New(partnercentertest.Options{})
		_, begun := post(t, e, tenantPath+"/oauth2/v2.0/devicecode", form(""))
		code, _ := begun["device_code"].(string)
		if begun["interval"] != 5.0 || begun["expires_in"] != 900.0 ||
			begun["verification_uri"] != "http://authority.test/devicelogin" {
			t.Errorf("answer %v", begun)
		}
		poll := func() map[string]any {
			_, got := post(t, e, tenantPath+"/oauth2/v2.0/token",
				form("urn:ietf:params:oauth:grant-type:device_code", "device_code", code))
			return got
		}
		later := func(d time.Duration) { <-time.After(d) }
		if got := poll(); got["error"] != "authorization_pending" {
			t.Errorf("at once: %v", got)
		}
		if got := poll(); got["error"] != "slow_down" {
			t.Errorf("too soon: %v", got)
		}
		later(5 * time.Second)
		if e.EnterCode("another", "user", true) {
			t.Error("another code was taken")
		}
		if !e.EnterCode(strings.ToLower(begun["user_code"].(string)), "user", true) {
			t.Error("the code was not taken")
		}
		if got := poll(); got["access_token"] == nil || got["refresh_token"] == nil {
			t.Errorf("after the sign-in: %v", got)
		}
		if got := poll(); got["error"] != "bad_verification_code" {
			t.Errorf("a second time: %v", got)
		}
		_, begun = post(t, e, tenantPath+"/oauth2/v2.0/devicecode", form(""))
		code, _ = begun["device_code"].(string)
		later(15 * time.Minute)
		if got := poll(); got["error"] != "expired_token" || e.EnterCode(begun["user_code"].(string), "user", true) {
			t.Errorf("too late: %v", got)
		}
	})
}

func TestDeviceLogin_isAPageForPeople(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{})
	_, begun := post(t, e, tenantPath+"/oauth2/v2.0/devicecode", form(""))
	if w := ask(e, newRequest(t, "GET", "/devicelogin", nil)); w.Code != http.StatusOK ||
		!strings.Contains(w.Body.String(), "<form") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	tests := []struct{ code, want string }{
		{"wrong", "no such code"},
		{begun["user_code"].(string), "&lt;b&gt; has signed in"},
	}
	for _, tt := range tests {
		body := url.Values{"code": {tt.code}, "user": {"<b>"}}.Encode()
		w := ask(e, newRequest(t, "POST", "/devicelogin", strings.NewReader(body), "Content-Type",
			"application/x-www-form-urlencoded"))
		if !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %s", tt.code, w.Body)
		}
	}
}

// assertionKey is generated once, since that takes a while.
var assertionKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func signed(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	key, err := assertionKey()
	if err != nil {
		t.Fatal(err)
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:],
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if header["alg"] == "RS256" {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// registered returns an emulator that knows a certificate of assertionKey and the certificate's thumbprint.
func registered(t *testing.T, end time.Time) (*partnercentertest.Emulator, string) {
	t.Helper()
	key, err := assertionKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-2 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	e := partnercentertest.New(partnercentertest.Options{})
	e.RegisterCertificate(certificate)
	e.TrustIssuer("https://cluster.test", "pod", &key.PublicKey)
	thumbprint := sha256.Sum256(der)
	return e, base64.RawURLEncoding.EncodeToString(thumbprint[:])
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e, thumbprint := registered(t, now.Add(time.Hour))
	late, lateThumbprint := registered(t, now.Add(-time.Minute))
	header := map[string]any{"alg": "PS256", "x5t#S256": thumbprint}
	claims := map[string]any{
		"aud": "https://authority.test" + tenantPath + "/oauth2/v2.0/token", "iss": partnercentertest.DefaultClientID,
		"sub": partnercentertest.DefaultClientID, "exp": now.Add(time.Minute).Unix(), "nbf": now.Unix(),
	}
	federated := map[string]any{"aud": "api://AzureADTokenExchange", "iss": "https://cluster.test", "sub": "pod",
		"exp": now.Add(time.Minute).Unix()}
	with := func(m map[string]any, name string, value any) map[string]any {
		m = maps.Clone(m)
		m[name] = value
		return m
	}
	rs256 := map[string]any{"alg": "RS256"}
	tests := []struct {
		name      string
		e         *partnercentertest.Emulator
		assertion string
		number    float64
	}{
		{"good", e, signed(t, header, with(claims, "jti", "1")), 0},
		{"replayed", e, signed(t, header, with(claims, "jti", "1")), 50027},
		{"without id", e, signed(t, header, claims), 50027},
		{"ended", e, signed(t, header, with(claims, "exp", now.Unix()-1)), 700024},
		{"still to come", e, signed(t, header, with(claims, "nbf", now.Unix()+60)), 700024},
		{"for another authority", e, signed(t, header, with(claims, "aud", "https://elsewhere.test/token")), 700023},
		{"of another client", e, signed(t, header, with(claims, "sub", "other")), 700021},
		{"unknown certificate", e, signed(t, with(header, "x5t#S256", "x"), claims), 700027},
		{"broken signature", e, signed(t, header, claims) + "AA", 700027},
		{"no algorithm", e, signed(t, with(header, "alg", "none"), claims), 700027},
		{"expired certificate", late, signed(t, with(header, "x5t#S256", lateThumbprint), claims), 700027},
		{"nonsense", e, "x.y.z", 50027},
		{"federated", e, signed(t, rs256, federated), 0},
		{"federated, again", e, signed(t, rs256, federated), 0},
		{"another subject", e, signed(t, rs256, with(federated, "sub", "other")), 70021},
		{"another audience", e, signed(t, rs256, with(federated, "aud", "other")), 70021},
		{"federated, broken signature", e, signed(t, rs256, federated) + "AA", 700027},
	}
	for _, tt := range tests { // one after the other: an id counts from the second time on
		status, got := post(t, tt.e, tenantPath+"/oauth2/v2.0/token", map[string]string{
			"grant_type": "client_credentials", "client_id": partnercentertest.DefaultClientID,
			"scope":                 "https://api.partnercenter.microsoft.com/.default",
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": tt.assertion,
		})
		if number(got) != tt.number || (status == http.StatusOK) != (tt.number == 0) {
			t.Errorf("%s: %d %v", tt.name, status, got["error_description"])
		}
	}
}

func TestConfidential_wantsTheSecretForAUserToo(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{Confidential: true})
	token := e.RefreshToken("user", true)
	tests := []struct {
		secret string
		number float64
	}{{"", 7000218}, {"wrong", 7000215}, {partnercentertest.DefaultClientSecret, 0}}
	for _, tt := range tests {
		_, got := post(t, e, tenantPath+"/oauth2/v2.0/token",
			form("refresh_token", "refresh_token", token, "client_secret", tt.secret))
		if number(got) != tt.number {
			t.Errorf("secret %q: %v", tt.secret, got)
		}
	}
}
