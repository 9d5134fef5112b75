package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials are what a partner signs in with, as the API documentation's "Partner Center authentication" says: as an
// application alone, which proves who it is with exactly one of a client secret, CertificateFile and FederatedTokenFile, or
// on behalf of a user, with Rotate.
type Credentials struct {
	AuthorityURL string // such as a [Cloud]'s; a trailing "/" is tolerated
	TenantID     string // the partner's tenant: an id or a domain
	ClientID     string
	Scope        string // such as a [Cloud]'s

	ClientSecret       Secret
	ClientSecretFile   string // goes before ClientSecret; read for each token
	CertificateFile    string // PEM, for [ReadCertificate]; read for each token
	FederatedTokenFile string // a token of another authority, of Kubernetes for one; read for each token

	// Rotate keeps the refresh token of a user who has signed in. An application that is registered as a confidential one
	// has a client secret beside it.
	Rotate Rotate
}

// Rotate gives redeem the refresh token of the user who has signed in, and stores the token that takes its place before
// it returns. Of several processes with the same user, one at a time may do so. Where the authority refuses the newest
// token, older ones may be given to redeem after it. The error wraps ErrNotSignedIn where there is no token to give.
type Rotate func(ctx context.Context, redeem func(ctx context.Context, refresh Secret) (next Secret, err error)) error

// ErrNotSignedIn is returned by a Rotate that has no refresh token.
var ErrNotSignedIn = errors.New("no user has signed in")

// RedeemTimeout is how long the authority may take to answer a Rotate's redeem, which another process may be waiting for.
const RedeemTimeout = 30 * time.Second

// rotationTimeout is the timeout of one attempt at rotation, in which another process's may have to be waited for.
const rotationTimeout = 3 * RedeemTimeout

// Words of ours for a sign-in that got nowhere near the authority; see [Error.ErrorCode].
const (
	codeCredential  = "credential"    // the file of a credential cannot be read, or holds none
	codeNotSignedIn = "not_signed_in" // no user has signed in
	codeTokenStore  = "token_store"   // the refresh token could not be read or stored
)

// proofError is what keeps a client from proving who it is. Nothing was sent, or the answer is not to be used.
type proofError struct {
	code, hint string
	retry      bool
	err        error
}

func (e *proofError) Error() string { return e.err.Error() }

// authority is where tokens come from, and for whom.
type authority struct {
	cred     Credentials
	loginURL string // of its OAuth endpoints
	tokenURL string
	client   *http.Client
	timeout  time.Duration // of redeeming a refresh token, and of one attempt at a login's requests
	courier  courier       // of a login's requests
	sent     atomic.Pointer[secrets]
}

func newAuthority(cred Credentials, opts TokenOptions) (*authority, error) {
	base, err := parseBase(cred.AuthorityURL)
	if err != nil {
		return nil, fmt.Errorf("reading the authority URL: %w", err)
	}
	for name, value := range map[string]string{"tenant id": cred.TenantID, "client id": cred.ClientID, "scope": cred.Scope} {
		if value == "" {
			return nil, fmt.Errorf("signing in needs a %s", name)
		}
	}
	login := base.String() + "/" + url.PathEscape(cred.TenantID) + "/oauth2/v2.0"
	a := &authority{cred: cred, loginURL: login, tokenURL: login + "/token", client: tokenClient(opts), timeout: RedeemTimeout}
	if opts.AttemptTimeout > 0 {
		a.timeout = min(a.timeout, opts.AttemptTimeout)
	}
	a.courier = newCourier(a.timeout, opts.Limiter, opts.Logger)
	return a, nil
}

// grant returns what asks for a token, once, by the one way that the credentials have.
func (a *authority) grant() (func(context.Context) (*oauth2.Token, error), error) {
	c := a.cred
	ways := 0
	bySecret := c.ClientSecret != "" || c.ClientSecretFile != ""
	for _, given := range []bool{c.CertificateFile != "", c.FederatedTokenFile != "", bySecret || c.Rotate != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return nil, errors.New("signing in needs a client secret, a certificate, a federated token or a signed-in user")
	case ways > 1:
		return nil, errors.New("signing in takes one way only: a client secret, a certificate, a federated token or a signed-in user")
	case c.Rotate != nil:
		return a.asUser, nil
	}
	return a.asApplication, nil
}

// asApplication gets a token for the application itself, by "OAuth 2.0 client credentials flow on the Microsoft identity
// platform".
func (a *authority) asApplication(ctx context.Context) (*oauth2.Token, error) {
	proof, err := a.proof()
	if err != nil {
		return nil, &proofError{code: codeCredential, err: err}
	}
	return a.request(ctx, proof, a.cred.Scope)
}

// proof returns the client assertion, where the application has no secret.
func (a *authority) proof() (url.Values, error) {
	var assertion string
	switch {
	case a.cred.CertificateFile != "":
		certificate, err := ReadCertificate(a.cred.CertificateFile)
		if err != nil {
			return nil, err
		}
		if assertion, err = certificate.assertion(a.cred.ClientID, a.tokenURL, time.Now()); err != nil {
			return nil, err
		}
	case a.cred.FederatedTokenFile != "":
		token, err := os.ReadFile(a.cred.FederatedTokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the federated token: %w", err)
		}
		if assertion = strings.TrimSpace(string(token)); assertion == "" {
			return nil, fmt.Errorf("reading the federated token: %s is empty", a.cred.FederatedTokenFile)
		}
	default:
		return nil, nil
	}
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}, nil
}

// secret returns the application's secret; "" if it has none.
func (a *authority) secret() (Secret, error) {
	if a.cred.ClientSecretFile == "" {
		return a.cred.ClientSecret, nil
	}
	secret, err := readSecret(a.cred.ClientSecretFile)
	if err != nil {
		return "", &proofError{code: codeCredential, err: err}
	}
	return secret, nil
}

// request makes one token request. Another grant than client_credentials is among the parameters.
func (a *authority) request(ctx context.Context, parameters url.Values, scopes ...string) (*oauth2.Token, error) {
	secret, err := a.secret()
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:       a.cred.ClientID,
		ClientSecret:   secret.Reveal(),
		TokenURL:       a.tokenURL,
		Scopes:         scopes,
		EndpointParams: parameters,
		AuthStyle:      oauth2.AuthStyleInParams, // guessing would double each failing request
	}
	a.sent.Store(&secrets{secret, Secret(parameters.Get("client_assertion")), Secret(parameters.Get("refresh_token"))})
	return config.Token(context.WithValue(ctx, oauth2.HTTPClient, a.client))
}

// secrets are what the last request sent that is secret.
func (a *authority) secrets() secrets {
	if sent := a.sent.Load(); sent != nil {
		return *sent
	}
	return nil
}

// asUser gets a token on behalf of the user who has signed in, and leaves the next refresh token with the keeper of the
// first before anybody uses the access token.
func (a *authority) asUser(ctx context.Context) (got *oauth2.Token, err error) {
	var refused error
	err = a.cred.Rotate(ctx, func(ctx context.Context, refresh Secret) (Secret, error) {
		token, err := a.redeem(ctx, refresh)
		switch {
		case err == nil:
			got, refused = token, nil
			return Secret(token.RefreshToken), nil
		case refused == nil: // that of the newest token says most
			refused = err
		}
		return "", err
	})
	switch {
	case refused != nil:
		return nil, refused
	case errors.Is(err, ErrNotSignedIn):
		return nil, &proofError{code: codeNotSignedIn, err: err, hint: "sign in with partnersync login"}
	case err != nil:
		return nil, &proofError{code: codeTokenStore, err: err, retry: true}
	}
	return got, nil
}

// redeem exchanges a refresh token for an access token and the next refresh token, by "Refresh an access token" of the
// "OAuth 2.0 authorization code flow on the Microsoft identity platform".
func (a *authority) redeem(ctx context.Context, refresh Secret) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	parameters := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	return a.request(ctx, parameters, a.scopes()...)
}

// InvalidGrant says whether the authority has refused a refresh token itself, rather than the application or the moment.
func InvalidGrant(err error) bool {
	reply, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && reply.ErrorCode == "invalid_grant"
}
