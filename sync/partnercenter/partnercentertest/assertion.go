package partnercentertest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// federatedAudience is the audience that tokens of other authorities must have.
const federatedAudience = "api://AzureADTokenExchange"

// issuer is another authority with whose tokens for the subject the application may sign in.
type issuer struct {
	name, subject string
	key           *rsa.PublicKey
}

// RegisterCertificate lets the application sign in with assertions signed by the certificate's key, which must be
// RSA.
func (e *Emulator) RegisterCertificate(c *x509.Certificate) {
	thumbprint := sha256.Sum256(c.Raw)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.certificates[base64.RawURLEncoding.EncodeToString(thumbprint[:])] = c
}

// TrustIssuer lets the application sign in with tokens (RS256) of another authority that are for the subject.
func (e *Emulator) TrustIssuer(name, subject string, key *rsa.PublicKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.issuers = append(e.issuers, issuer{name, subject, key})
}

// assertion is a JWT by which an application proves its identity.
type assertion struct {
	header struct {
		Alg        string `json:"alg"`
		Thumbprint string `json:"x5t#S256"`
	}
	claims struct {
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Audience  string `json:"aud"`
		ID        string `json:"jti"`
		NotBefore int64  `json:"nbf"`
		Expires   int64  `json:"exp"`
	}
	signed    string
	signature []byte
}

func parseAssertion(s string) (a assertion, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return a, false
	}
	a.signed = parts[0] + "." + parts[1]
	for i, into := range []any{&a.header, &a.claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return a, false
		}
	}
	var err error
	a.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return a, err == nil
}

// signedBy reports whether the signature is the key's.
func (a *assertion) signedBy(key *rsa.PublicKey) bool {
	digest := sha256.Sum256([]byte(a.signed))
	switch a.header.Alg {
	case "PS256":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], a.signature, options) == nil
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], a.signature) == nil
	}
	return false
}

// checkAssertion refuses an assertion that proves nothing.
func (e *Emulator) checkAssertion(q *query, text string) *refusal {
	deny := func(format string, args ...any) *refusal {
		return refuse(http.StatusUnauthorized, "invalid_client", format, args...)
	}
	a, ok := parseAssertion(text)
	if q.r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || !ok {
		return deny("AADSTS50027: JWT token is invalid or malformed.")
	}
	now := time.Now().Unix()
	if a.claims.Expires <= now || a.claims.NotBefore > now {
		return deny("AADSTS700024: Client assertion is not within its valid time range.")
	}
	if a.header.Thumbprint == "" {
		return e.checkFederated(&a)
	}
	e.mu.Lock()
	certificate := e.certificates[a.header.Thumbprint]
	e.mu.Unlock()
	if certificate == nil {
		return deny("AADSTS700027: The certificate with identifier used to sign the client assertion " +
			"is not registered on application.")
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	switch {
	case !ok || !a.signedBy(key):
		return deny("AADSTS700027: Client assertion failed signature validation.")
	case time.Now().After(certificate.NotAfter):
		return deny("AADSTS700027: Client assertion contains an invalid signature: the key was expired.")
	case !strings.EqualFold(a.claims.Issuer, q.clientID) || !strings.EqualFold(a.claims.Subject, q.clientID):
		return deny("AADSTS700021: Client assertion application identifier doesn't match 'client_id' parameter.")
	case !sameEndpoint(a.claims.Audience, q.r):
		return deny("AADSTS700023: Client assertion audience claim does not match Realm issuer.")
	case e.replayed(&a):
		return deny("AADSTS50027: JWT token is invalid: its identifier is missing or was used before.")
	}
	return nil
}

// sameEndpoint reports whether an assertion is for the endpoint that it was sent to.
func sameEndpoint(audience string, r *http.Request) bool {
	u, err := url.Parse(audience)
	return err == nil && strings.EqualFold(u.Host, r.Host) && strings.EqualFold(u.Path, r.URL.Path)
}

// replayed records an assertion's id, and reports whether it was used before.
func (e *Emulator) replayed(a *assertion) bool {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.assertions, func(_ string, end time.Time) bool { return !now.Before(end) })
	_, before := e.assertions[a.claims.ID]
	e.assertions[a.claims.ID] = time.Unix(a.claims.Expires, 0)
	return before || a.claims.ID == ""
}

// checkFederated refuses a token of another authority for which the application has no federated credential.
func (e *Emulator) checkFederated(a *assertion) *refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, i := range e.issuers {
		if i.name != a.claims.Issuer || i.subject != a.claims.Subject || a.claims.Audience != federatedAudience {
			continue
		}
		if !a.signedBy(i.key) {
			return refuse(http.StatusUnauthorized, "invalid_client",
				"AADSTS700027: Client assertion failed signature validation.")
		}
		return nil
	}
	return refuse(http.StatusUnauthorized, "invalid_client",
		"AADSTS70021: No matching federated identity record found for presented assertion. "+
			"Assertion Issuer: '%s'. Assertion Subject: '%s'. Assertion Audience: '%s'.",
		a.claims.Issuer, a.claims.Subject, a.claims.Audience)
}
