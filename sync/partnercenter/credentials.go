package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Credentials are what a partner signs in with, by the API documentation's "Partner Center authentication": as an
// application alone, which proves its identity with exactly one of a client secret, CertificateFile and
// FederatedTokenFile, or on behalf of a user, with Rotate.
type Credentials struct {
	AuthorityURL string // such as a [Cloud]'s; a trailing "/" is tolerated
	TenantID     string // the partner's tenant: an id or a domain
	ClientID     string
	Scope        string // such as a [Cloud]'s

	ClientSecret       Secret
	ClientSecretFile   string // takes precedence over ClientSecret; read for each token
	CertificateFile    string // PEM, for [ReadCertificate]; read for each token
	FederatedTokenFile string // a token of another authority, such as Kubernetes; read for each token

	// Rotate uses the refresh token of a user who has signed in. An application that is registered as a confidential
	// one needs a client secret as well.
	Rotate Rotate
}

// Rotate passes the refresh token of the user who has signed in to redeem, and stores the token that replaces it before
// it returns. Of several processes with the same user, only one may do so at a time. Where the authority refuses the
// newest token, older ones may be tried after it. The error wraps ErrNotSignedIn where there is no token.
type Rotate func(ctx context.Context, redeem func(ctx context.Context, refresh Secret) (next Secret, err error)) error

// ErrNotSignedIn is returned by a Rotate that has no refresh token.
var ErrNotSignedIn = errors.New("no user has signed in")

// RedeemTimeout is how long the authority may take to redeem a refresh token. Another process may be waiting meanwhile.
const RedeemTimeout = 30 * time.Second

// rotationTimeout is the timeout of one attempt at rotation, which may have to wait for that of another process.
const rotationTimeout = 3 * RedeemTimeout

// Our own codes for a sign-in that never reached the authority; see [Error.ErrorCode].
const (
	codeCredential  = "credential"    // the file of a credential cannot be read, or holds none
	codeNotSignedIn = "not_signed_in" // no user has signed in
	codeTokenStore  = "token_store"   // the refresh token could not be read or stored
)

// ParseSecret returns the client secret in a text, which may end with a line break. Its errors say what to do.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("holds no secret; put the application's client secret there")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("holds more than one line; leave nothing but the client secret")
	}
	return Secret(text), nil
}

// readSecret reads a file that holds a client secret and nothing else. Its errors show nothing of its content.
func readSecret(path string) (Secret, error) {
	text, err := ReadSecretFile(path)
	var secret Secret
	if err == nil {
		secret, err = ParseSecret(text)
	}
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %s: %w", path, err)
	}
	return secret, nil
}

// Cloud is one of Microsoft's clouds: where its API and its sign-in are. The addresses are those of the API
// documentation's "Partner Center REST URLs".
type Cloud struct {
	APIURL       string // base of the API, without /v1
	AuthorityURL string // sign-in
	Scope        string // what a token is asked for: the cloud's own API
}

// CloudNamed returns the cloud of that name: global, usgov, china or germany.
func CloudNamed(name string) (Cloud, bool) {
	const public = "https://api.partnercenter.microsoft.com"
	const china = "https://partner.partnercenterapi.microsoftonline.cn"
	switch name {
	case "global":
		return cloud(public, "https://login.microsoftonline.com"), true
	case "usgov":
		return cloud(public, "https://login.microsoftonline.us"), true
	case "china":
		return cloud(china, "https://login.chinacloudapi.cn"), true
	case "germany":
		return cloud(public, "https://login.microsoftonline.de"), true
	}
	return Cloud{}, false
}

// CloudAt returns the name of the cloud whose authority is that host, "" for any other host. That of China has
// a newer name too, which its documentation uses.
func CloudAt(host string) (name string) {
	switch strings.ToLower(host) {
	case "login.microsoftonline.com":
		return "global"
	case "login.microsoftonline.us":
		return "usgov"
	case "login.chinacloudapi.cn", "login.partner.microsoftonline.cn":
		return "china"
	case "login.microsoftonline.de":
		return "germany"
	}
	return ""
}

func cloud(api, authority string) Cloud {
	return Cloud{APIURL: api, AuthorityURL: authority, Scope: api + "/.default"}
}
