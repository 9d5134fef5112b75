package partnercenter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// credentialError says why there is nothing to sign in with. Nothing was sent, or the answer must not be used.
type credentialError struct {
	code, hint string
	retry      bool
	err        error
}

// Error returns the text of the cause.
func (e *credentialError) Error() string { return e.err.Error() }

// authority issues tokens to one application.
type authority struct {
	cred     Credentials
	loginURL string // of its OAuth endpoints
	tokenURL string
	client   *http.Client
	timeout  time.Duration // of redeeming a refresh token, and of one attempt at a login's requests
	retrier  retrier       // of a login's requests
	sent     atomic.Pointer[secrets]
}

func newAuthority(cred Credentials, opts TokenOptions) (*authority, error) {
	base, err := parseBase(cred.AuthorityURL)
	if err != nil {
		return nil, fmt.Errorf("reading the authority URL: %w", err)
	}
	required := map[string]string{"tenant id": cred.TenantID, "client id": cred.ClientID, "scope": cred.Scope}
	for name, value := range required {
		if value == "" {
			return nil, fmt.Errorf("signing in needs a %s", name)
		}
	}
	login := base.String() + "/" + url.PathEscape(cred.TenantID) + "/oauth2/v2.0"
	client := newHTTPClient(opts.Transport)
	client.Transport = authorityTransport{client.Transport, userAgent(opts.Version)}
	a := &authority{
		cred: cred, loginURL: login, tokenURL: login + "/token", client: client, timeout: RedeemTimeout,
	}
	if opts.AttemptTimeout > 0 {
		a.timeout = min(a.timeout, opts.AttemptTimeout)
	}
	a.retrier = newRetrier(a.timeout, opts.Limiter, opts.Logger)
	return a, nil
}

// grant returns the function that asks for a token, once, in the one way that the credentials allow.
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
		return nil, errors.New("signing in takes one way only: " +
			"a client secret, a certificate, a federated token or a signed-in user")
	case c.Rotate != nil:
		return a.userToken, nil
	}
	return a.applicationToken, nil
}

// applicationToken gets a token for the application itself, by "OAuth 2.0 client credentials flow on the Microsoft
// identity platform".
func (a *authority) applicationToken(ctx context.Context) (*oauth2.Token, error) {
	parameters, err := a.assertion()
	if err != nil {
		return nil, &credentialError{code: codeCredential, err: err}
	}
	return a.request(ctx, parameters, a.cred.Scope)
}

// assertion returns the parameters of a client assertion; none where the application has a secret.
func (a *authority) assertion() (url.Values, error) {
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
		token, err := ReadSecretFile(a.cred.FederatedTokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the federated token: %s: %w", a.cred.FederatedTokenFile, err)
		}
		if assertion = strings.TrimSpace(token); assertion == "" {
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
		return "", &credentialError{code: codeCredential, err: err}
	}
	return secret, nil
}

// request makes one token request: for the grant client_credentials, unless the parameters name another one.
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

// secrets returns the secrets that the last request sent.
func (a *authority) secrets() secrets {
	if sent := a.sent.Load(); sent != nil {
		return *sent
	}
	return nil
}

// userToken gets a token on behalf of the user who has signed in. The next refresh token is stored before the access
// token is used.
func (a *authority) userToken(ctx context.Context) (got *oauth2.Token, err error) {
	var refused error
	err = a.cred.Rotate(ctx, func(ctx context.Context, refresh Secret) (Secret, error) {
		token, err := a.redeem(ctx, refresh)
		switch {
		case err == nil:
			got, refused = token, nil
			return Secret(token.RefreshToken), nil
		case refused == nil: // that of the newest token
			refused = err
		}
		return "", err
	})
	switch {
	case refused != nil:
		return nil, refused
	case errors.Is(err, ErrNotSignedIn):
		return nil, &credentialError{code: codeNotSignedIn, err: err, hint: "sign in with partnersync login"}
	case err != nil:
		return nil, &credentialError{code: codeTokenStore, err: err, retry: true}
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

// InvalidGrant reports whether the authority has refused a refresh token itself, and not the application.
func InvalidGrant(err error) bool {
	reply, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && reply.ErrorCode == "invalid_grant"
}

// authorityError returns the error of a request to the authority. It must not hold the reply's body, which the
// library's message has in it: only the OAuth error code, the authority's own number, its ids, and a hint of ours.
func (o *operation) authorityError(err error) *Error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return o.refusal(reply.Response, membersOf(reply.Body))
	}
	if failed, ok := errors.AsType[*credentialError](err); ok {
		e := o.newError(failed.code, "")
		e.Err, e.Hint, e.retry = failed.err, failed.hint, failed.retry
		return e
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return o.transportError(wrapped.Err)
	}
	return o.newError(codeBadResponse, "the authority's answer holds no token: check authority_url")
}

// refusal returns the error of a refusal, by "Handle error codes in your application" of the Microsoft identity
// platform.
func (o *operation) refusal(resp *http.Response, body object) *Error {
	code := oauthCode(body)
	e := o.newError(o.redact(cmp.Or(authorityNumber(body), code)), "")
	e.RequestID = o.quote(cmp.Or(resp.Header.Get("x-ms-request-id"), body.text("trace_id")), maxWord)
	e.CorrelationID = o.quote(body.text("correlation_id"), maxWord)
	e.setStatus(resp)
	e.retry = e.retry || code == "temporarily_unavailable"
	e.Hint = authorityHint(o.asUser, e.Code, code)
	if e.Code == "" && !e.retry {
		e.Hint = hintNoAuthority
	}
	return e
}

// authorityNumber returns the authority's own number ("AADSTS7000215"), "" if there is none.
func authorityNumber(body object) string {
	_, number, _ := strings.Cut(body.text("error_description"), "AADSTS")
	number = number[:len(number)-len(strings.TrimLeft(number, "0123456789"))]
	if number == "" {
		var numbers []uint64
		if json.Unmarshal(body["error_codes"], &numbers) == nil && len(numbers) > 0 {
			number = strconv.FormatUint(numbers[0], 10)
		}
	}
	if number == "" || len(number) > 10 {
		return ""
	}
	return "AADSTS" + number
}

// oauthCode returns the error code of OAuth ("invalid_client"), "" if there is none.
func oauthCode(body object) string {
	notOfCode := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	code := body.text("error")
	if len(code) > 40 || strings.ContainsFunc(code, notOfCode) {
		return ""
	}
	return code
}
