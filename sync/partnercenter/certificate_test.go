package partnercenter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestReadCertificate(t *testing.T) {
	t.Parallel()
	own := newTestCertificate(t)
	certificate := pemOf("CERTIFICATE", own.Raw)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dek := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"),
		Headers: map[string]string{"DEK-Info": "AES"}}))
	tests := []struct{ name, content, wrong string }{
		{"certificate and key", certificate + testKeyPEM(), ""},
		{"key and certificate, with text around", "Bag Attributes\n" + pemOf("PRIVATE KEY", pkcs8) + "issuer\n" +
			certificate, ""},
		{"nothing", "", "no private key"},
		{"no key", certificate, "no private key"},
		{"no certificate", testKeyPEM(), "no certificate"},
		{"two keys", certificate + testKeyPEM() + testKeyPEM(), "more than one private key"},
		{"another key", certificate + pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(other)), "belongs to none"},
		{"curve", certificate + pemOf("PRIVATE KEY", curveDER), "no RSA key"},
		{"garbled key", certificate + pemOf("PRIVATE KEY", []byte("secret")), "cannot be read"},
		{"garbled certificate", pemOf("CERTIFICATE", []byte("x")) + testKeyPEM(), "certificate that cannot be read"},
		{"encrypted", certificate + pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "encrypted"},
		{"encrypted, the old way", certificate + dek, "encrypted"},
		{"too large", strings.Repeat("x", maxSecretFile+1), "larger than"},
	}
	for _, tt := range tests {
		c, err := ReadCertificate(writeFile(t, "cert.pem", tt.content))
		switch {
		case tt.wrong == "" && (err != nil || !c.NotAfter.Equal(own.NotAfter)):
			t.Errorf("%s: %v", tt.name, err)
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong) ||
			!strings.Contains(err.Error(), "cert.pem")):
			t.Errorf("%s: %v", tt.name, err)
		case err != nil && strings.Contains(err.Error(), "BEGIN"):
			t.Errorf("%s: shows the file: %v", tt.name, err)
		}
	}
	if _, err := ReadCertificate("/nowhere/cert.pem"); err == nil || !strings.Contains(err.Error(), "/nowhere/cert.pem") {
		t.Errorf("error %v", err)
	}
}

func TestAssertion_isAsDocumented(t *testing.T) {
	t.Parallel()
	c := newCertificate(newTestCertificate(t), testKey())
	now := time.Now()
	seen := map[any]bool{}
	for range 2 {
		text, err := c.assertion("client", "https://login.test/t/oauth2/v2.0/token", now)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return &testKey().PublicKey, nil },
			jwt.WithValidMethods([]string{"PS256"}), jwt.WithAudience("https://login.test/t/oauth2/v2.0/token"),
			jwt.WithIssuer("client"), jwt.WithSubject("client"), jwt.WithExpirationRequired())
		if err != nil {
			t.Fatal(err)
		}
		claims := token.Claims.(jwt.MapClaims)
		if _, plain := claims["aud"].(string); !plain || seen[claims["jti"]] || token.Header["x5t#S256"] != c.Thumbprint {
			t.Errorf("claims %v, header %v", claims, token.Header)
		}
		seen[claims["jti"]] = true
		if life := claims["exp"].(float64) - float64(now.Unix()); life != 300 {
			t.Errorf("good for %v s", life)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCertificate(string(data))
		if (c == nil) == (err == nil) {
			t.Errorf("certificate %v, error %v", c, err)
		}
	})
}
