package partnercenter

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// Certificate proves the identity of an application that has registered it.
type Certificate struct {
	NotBefore, NotAfter time.Time
	Thumbprint          string // SHA-256 of the certificate, base64url; the assertion refers to it

	key *rsa.PrivateKey
}

const (
	assertionLife = 5 * time.Minute
	clockSkew     = time.Minute // by which our clock may be ahead of the authority's
)

// ReadCertificate reads a PEM file with a certificate and its RSA key, in any order. Certificates of other keys, which
// may be its issuers, are ignored. Errors show nothing of the file's content.
func ReadCertificate(path string) (*Certificate, error) {
	text, err := ReadSecretFile(path)
	var c *Certificate
	if err == nil {
		c, err = ParseCertificate(text)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", path, err)
	}
	return c, nil
}

// ParseCertificate reads the content of such a file. Its errors say what to do.
func ParseCertificate(text string) (*Certificate, error) {
	var leaves []*x509.Certificate
	var key *rsa.PrivateKey
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, errors.New("it holds a certificate that cannot be read")
			}
			leaves = append(leaves, leaf)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY":
			if key != nil {
				return nil, errors.New("it holds more than one private key; leave the certificate's")
			}
			var err error
			if key, err = parseKey(block); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case key == nil:
		return nil, errors.New("it holds no private key; " +
			"put the certificate's, which may be in a file of its own, beside it: cat CERTIFICATE KEY > BOTH")
	case len(leaves) == 0:
		return nil, errors.New("it holds no certificate; " +
			"put it, which may be in a file of its own, beside the key: cat CERTIFICATE KEY > BOTH")
	}
	for _, leaf := range leaves {
		if key.PublicKey.Equal(leaf.PublicKey) {
			return newCertificate(leaf, key), nil
		}
	}
	return nil, errors.New("its private key belongs to none of its certificates")
}

func parseKey(block *pem.Block) (*rsa.PrivateKey, error) {
	const convert = "; the sign-in takes an RSA key: openssl req -x509 -newkey rsa:2048 makes one"
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("its private key is encrypted; decrypt it: " +
			"(umask 077; openssl pkey -in OLD -out KEY; cat CERTIFICATE KEY > NEW)")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its private key cannot be read" + convert)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is no RSA key" + convert)
	}
	return key, nil
}

func newCertificate(leaf *x509.Certificate, key *rsa.PrivateKey) *Certificate {
	thumbprint := sha256.Sum256(leaf.Raw)
	return &Certificate{
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, key: key,
		Thumbprint: base64.RawURLEncoding.EncodeToString(thumbprint[:]),
	}
}

// assertion returns a JWT that proves to the audience, once and within five minutes, that its bearer is the client, by
// "Microsoft identity platform application authentication certificate credentials".
func (c *Certificate) assertion(clientID, audience string, now time.Time) (string, error) {
	if c.key.Size() < crypto.SHA256.Size()*2+2 {
		return "", errors.New("signing the client assertion: the RSA key is too short; make one of 2048 bits")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.MapClaims{
		"aud": audience, "iss": clientID, "sub": clientID, "jti": uuid.NewString(),
		"nbf": now.Add(-clockSkew).Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	token.Header["x5t#S256"] = c.Thumbprint
	signed, err := token.SignedString(c.key)
	if err != nil {
		return "", fmt.Errorf("signing the client assertion: %w", err)
	}
	return signed, nil
}
