package partnercenter

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"partnersync/sync/partnercenter/partnercentertest"
)

// testKey is made once: it takes a while.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// newTestCertificate returns a certificate of testKey.
func newTestCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "partnersync"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &testKey().PublicKey, testKey())
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func testKeyPEM() string { return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey())) }

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// emulated is an emulator and credentials for it, which have no way to sign in yet.
type emulated struct {
	*partnercentertest.Emulator
	cred Credentials
	opts TokenOptions
	log  bytes.Buffer
}

func newEmulated(t *testing.T, o partnercentertest.Options) *emulated {
	t.Helper()
	o.ClientSecret = testSecret
	w := &emulated{Emulator: partnercentertest.New(o)}
	w.AddCustomer(partnercentertest.Customer{ID: testCustomer})
	w.PutBatch(testCustomer, partnercentertest.Batch{ID: "a"})
	w.cred = Credentials{
		AuthorityURL: "http://piped.test", TenantID: partnercentertest.DefaultTenantID,
		ClientID: partnercentertest.DefaultClientID,
		Scope:    "https://api.partnercenter.microsoft.com/.default",
	}
	w.opts = TokenOptions{Transport: pipe(t, w), Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

// withCertificate signs in with a certificate that the authority knows.
func (w *emulated) withCertificate(t *testing.T) {
	certificate := newTestCertificate(t)
	w.RegisterCertificate(certificate)
	w.cred.CertificateFile = writeFile(t, "cert.pem", pemOf("CERTIFICATE", certificate.Raw)+testKeyPEM())
}

// federatedToken returns a token of another authority.
func federatedToken(t *testing.T, subject string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://cluster.test", "sub": subject, "aud": "api://AzureADTokenExchange",
		"exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *emulated) withFederatedToken(t *testing.T) {
	w.TrustIssuer("https://cluster.test", "system:serviceaccount:sync:partnersync", &testKey().PublicKey)
	w.cred.FederatedTokenFile = writeFile(t, "token", federatedToken(t, "system:serviceaccount:sync:partnersync")+"\n")
}

// keeper keeps a refresh token in memory.
type keeper struct {
	mu    sync.Mutex
	token Secret
	saves int
	fail  error // of saving
}

func (k *keeper) rotate(ctx context.Context, redeem func(context.Context, Secret) (Secret, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.token == "" {
		return fmt.Errorf("partner contoso: %w", ErrNotSignedIn)
	}
	next, err := redeem(ctx, k.token)
	if err != nil {
		return err
	}
	if k.fail != nil {
		return k.fail
	}
	k.token = next
	k.saves++
	return nil
}

func (w *emulated) withUser(mfa bool) *keeper {
	k := &keeper{token: Secret(w.RefreshToken("admin@contoso.example", mfa))}
	w.cred.Rotate = k.rotate
	return k
}

func (w *emulated) tokens(t *testing.T) *TokenSource {
	t.Helper()
	s, err := NewTokenSource(w.cred, w.opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *emulated) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(Options{BaseURL: "http://piped.test", Tokens: w.tokens(t), Transport: w.opts.Transport,
		Logger: w.opts.Logger})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asked counts the requests whose path ends so and that were answered with the status; 0: any.
func (w *emulated) asked(suffix string, status int) int {
	n := 0
	for _, r := range w.Requests() {
		if strings.HasSuffix(r.Path, suffix) && (status == 0 || r.Status == status) {
			n++
		}
	}
	return n
}

// ways are all ways to sign in.
var ways = map[string]func(*testing.T, *emulated){
	"secret":          func(_ *testing.T, w *emulated) { w.cred.ClientSecret = testSecret },
	"certificate":     func(t *testing.T, w *emulated) { w.withCertificate(t) },
	"federated token": func(t *testing.T, w *emulated) { w.withFederatedToken(t) },
	"user":            func(_ *testing.T, w *emulated) { w.withUser(true) },
}

func TestSignIn_everyWayMakesOneTokenRequestForMany(t *testing.T) {
	t.Parallel()
	for name, sign := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEmulated(t, partnercentertest.Options{})
			sign(t, w)
			c := w.client(t)
			list := func() error {
				_, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil))
				return err
			}
			var g errgroup.Group
			for range 20 {
				g.Go(list)
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := w.asked("/token", 0); n != 1 {
				t.Errorf("%d token requests for 20 readers", n)
			}
			// A second token takes a new assertion, since the authority remembers each, or the next refresh token.
			w.RevokeTokens()
			if err := list(); err != nil {
				t.Error(err)
			}
			if tokens, refused := w.asked("/token", http.StatusOK),
				w.asked("/deviceBatches", http.StatusUnauthorized); tokens != 2 || refused != 1 {
				t.Errorf("%d tokens, %d refused requests after the first token was revoked", tokens, refused)
			}
		})
	}
}

func TestSignIn_expiryInMidPassCostsOneRefresh(t *testing.T) {
	t.Parallel()
	for name, sign := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newEmulated(t, partnercentertest.Options{TokenLifetime: 100 * time.Second})
				sign(t, w)
				c := w.client(t)
				for range 15 {
					if _, err := batchIDs(c.DeviceBatches(t.Context(), testCustomer, nil)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
				}
				if tokens, refused := w.asked("/token", 0), w.asked("", http.StatusUnauthorized); tokens != 2 || refused != 0 {
					t.Errorf("%d token requests, %d refused requests", tokens, refused)
				}
			})
		})
	}
}

func TestSignIn_federatedTokenIsReadEachTime(t *testing.T) {
	t.Parallel()
	w := newEmulated(t, partnercentertest.Options{})
	w.withFederatedToken(t)
	good, err := os.ReadFile(w.cred.FederatedTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, content, code, hint string }{
		{"of another pod", federatedToken(t, "system:serviceaccount:sync:other"), "AADSTS70021", "federated credential"},
		{"no token", "partnersync", "AADSTS50027", "no token that the authority can read"},
		{"empty", " \n", "credential", ""},
		{"renewed", string(good), "", ""},
	}
	for _, tt := range tests {
		if err := os.WriteFile(w.cred.FederatedTokenFile, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := w.tokens(t).Token(t.Context())
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if e := errorOf(t, err); e.ErrorCode() != tt.code || !strings.Contains(e.Hint, tt.hint) ||
			strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSignIn_secretIsReadEachTime(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*emulated){
		"application": func(*emulated) {},
		"user":        func(w *emulated) { w.withUser(true) },
	}
	tests := []struct{ content, code, hint string }{
		{"wrong\n", "AADSTS7000215", "secret"},
		{" \n", "credential", ""},
		{"p4rt\nlines", "credential", ""},
		{testSecret + "\r\n", "", ""},
	}
	for way, sign := range ways {
		w := newEmulated(t, partnercentertest.Options{})
		w.cred.ClientSecretFile = writeFile(t, "secret", "")
		sign(w)
		for _, tt := range tests {
			if err := os.WriteFile(w.cred.ClientSecretFile, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := w.tokens(t).Token(t.Context())
			if tt.code == "" {
				if err != nil {
					t.Errorf("%s, %q: %v", way, tt.content, err)
				}
				continue
			}
			if e := errorOf(t, err); e.ErrorCode() != tt.code || !strings.Contains(e.Hint, tt.hint) ||
				strings.Contains(err.Error(), "p4rt") {
				t.Errorf("%s, %q: %v", way, tt.content, err)
			}
		}
		if err := os.Remove(w.cred.ClientSecretFile); err != nil {
			t.Fatal(err)
		}
		if _, err := w.tokens(t).Token(t.Context()); errorOf(t, err).ErrorCode() != "credential" ||
			!errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, without its file: %v", way, err)
		}
	}
}

func TestSignIn_refreshTokenIsStoredBeforeTheAccessTokenIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newEmulated(t, partnercentertest.Options{})
		k := w.withUser(true)
		first := k.token
		k.fail = errors.New("the disk is full")
		s := w.tokens(t)
		_, err := s.Token(t.Context())
		if e := errorOf(t, err); e.ErrorCode() != "token_store" || !errors.Is(err, k.fail) {
			t.Errorf("error %v", err)
		}
		// The token that came of the first was lost, as by kill -9: the first is good still.
		k.fail = nil
		time.Sleep(failureHold)
		if _, err := s.Token(t.Context()); err != nil || k.saves != 1 || k.token == first {
			t.Errorf("%d saves, error %v", k.saves, err)
		}
	})
}

func TestSignIn_userIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code, hint string
		spoil            func(*emulated, *keeper)
		requests         int
	}{
		{"nobody signed in", "not_signed_in", "partnersync login", func(_ *emulated, k *keeper) { k.token = "" }, 0},
		{"revoked", "AADSTS50173", "sign in again", func(w *emulated, _ *keeper) { w.RevokeSignIns() }, 1},
		{"idle", "AADSTS700082", "90 days", func(w *emulated, _ *keeper) { w.Advance(90 * 24 * time.Hour) }, 1},
		{"garbled", "AADSTS70000", "sign in again", func(_ *emulated, k *keeper) { k.token += "x" }, 1},
		{"wrong secret", "AADSTS7000215", "secret", func(w *emulated, _ *keeper) { w.cred.ClientSecret = "wrong" }, 1},
		{"tenant", "AADSTS90002", "tenant_id", func(w *emulated, _ *keeper) { w.cred.TenantID = "fabrikam" }, 1},
	}
	for _, tt := range tests {
		w := newEmulated(t, partnercentertest.Options{})
		k := w.withUser(true)
		tt.spoil(w, k)
		_, err := w.tokens(t).Token(t.Context())
		if e := errorOf(t, err); e.ErrorCode() != tt.code || !strings.Contains(e.Hint, tt.hint) ||
			w.asked("/token", 0) != tt.requests {
			t.Errorf("%s: %d requests: %v", tt.name, w.asked("/token", 0), err)
		}
	}
}

func TestSignIn_confidentialApplicationShowsItsSecretForAUser(t *testing.T) {
	t.Parallel()
	w := newEmulated(t, partnercentertest.Options{Confidential: true})
	w.withUser(true)
	if _, err := w.tokens(t).Token(t.Context()); errorOf(t, err).ErrorCode() != "AADSTS7000218" {
		t.Errorf("without its secret: %v", err)
	}
	w.cred.ClientSecret = testSecret
	if _, err := w.tokens(t).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSignIn_mfaSwitchedOnInMidRun(t *testing.T) {
	t.Parallel()
	for _, mfa := range []bool{true, false} {
		w := newEmulated(t, partnercentertest.Options{})
		w.withUser(mfa)
		c := w.client(t)
		if err := c.Probe(t.Context(), testCustomer); err != nil {
			t.Fatal(err)
		}
		w.RequireMFA(true)
		err := c.Probe(t.Context(), testCustomer)
		if mfa && err != nil {
			t.Errorf("with a second factor: %v", err)
		}
		if !mfa && (errorOf(t, err).ErrorCode() != "900421" || errorOf(t, err).Hint != hintMFA) {
			t.Errorf("without a second factor: %v", err)
		}
		if _, refused := c.tokens.Refused(); mfa != (refused == nil) {
			t.Errorf("MFA %v: refused: %v", mfa, refused)
		}
	}
}

func TestNewTokenSource_takesOneWay(t *testing.T) {
	t.Parallel()
	keep := (&keeper{}).rotate
	tests := []struct {
		name string
		cred Credentials
		want string
	}{
		{"none", Credentials{}, "needs a client secret"},
		{"secret's file and token", Credentials{ClientSecretFile: "s", FederatedTokenFile: "t"}, "one way only"},
		{"secret and certificate", Credentials{ClientSecret: testSecret, CertificateFile: "c"}, "one way only"},
		{"certificate and token", Credentials{CertificateFile: "c", FederatedTokenFile: "t"}, "one way only"},
		{"certificate and user", Credentials{CertificateFile: "c", Rotate: keep}, "one way only"},
		{"user of a confidential application", Credentials{ClientSecret: testSecret, Rotate: keep}, ""},
	}
	for _, tt := range tests {
		tt.cred.AuthorityURL, tt.cred.TenantID, tt.cred.ClientID, tt.cred.Scope = "https://login.test", "t", "c", "s"
		_, err := NewTokenSource(tt.cred, TokenOptions{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSignIn_noSecretIsEverShown(t *testing.T) {
	t.Parallel()
	for name, sign := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newEmulated(t, partnercentertest.Options{})
				sign(t, w)
				secrets := []string{testSecret, "PRIVATE KEY"}
				w.Fail(partnercentertest.Fault{Path: "token", Times: 1, Status: http.StatusServiceUnavailable})
				s := w.tokens(t)
				access, err := s.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, access.Reveal(), "eyJ", "1.A")
				w.Fail(partnercentertest.Fault{Path: "token", Status: http.StatusBadRequest, Description: "AADSTS50173: " +
					access.Reveal() + testSecret})
				s.current.reject()
				_, err = s.Token(t.Context())
				shown := fmt.Sprintf("%v %+v %s %#v %+v", err, *errorOf(t, err), &w.log, s, w.cred)
				for _, secret := range secrets {
					if strings.Contains(shown, secret) {
						t.Errorf("%.20q is in %s", secret, shown)
					}
				}
				if !strings.Contains(w.log.String(), "retrying") {
					t.Error("nothing was logged")
				}
			})
		})
	}
}

func TestSignIn_whatAServerSendsBackIsNotShown(t *testing.T) {
	t.Parallel()
	// The whole form, in a header, in place of a status line, and in an error's code.
	echoes := map[string]http.HandlerFunc{
		"header": func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"client_secret", "client_assertion", "refresh_token"} {
				if value := r.PostFormValue(name); value != "" {
					w.Header().Set("X-Ms-Request-Id", value)
				}
			}
			http.Error(w, `{"error":"invalid_client"}`, http.StatusBadRequest)
		},
		"status line": func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "%s%s%s\r\n\r\n", r.PostForm["client_secret"], r.PostForm["client_assertion"],
				r.PostForm["refresh_token"])
			conn.Close()
		},
		"code": func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			http.Error(w, fmt.Sprintf(`{"error":%q,"error_description":%[1]q}`, r.PostForm.Encode()), http.StatusBadRequest)
		},
	}
	for way, sign := range ways {
		for place, echo := range echoes {
			t.Run(way+" in the "+place, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newEmulated(t, partnercentertest.Options{})
					sign(t, w)
					w.opts.Transport = pipe(t, echo)
					_, err := w.tokens(t).Token(t.Context())
					shown := fmt.Sprintf("%v %+v %s", err, *errorOf(t, err), &w.log)
					for _, secret := range []string{testSecret, "eyJ", "1.A"} {
						if strings.Contains(shown, secret) {
							t.Errorf("%.20q is in %s", secret, shown)
						}
					}
				})
			})
		}
	}
}
