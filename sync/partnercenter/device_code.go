package partnercenter

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// SignedIn is the result of a user's sign-in: from now on the application can get tokens on the user's behalf.
type SignedIn struct {
	User    string // as the authority names them; "" if it does not
	Refresh Secret // to be kept sealed
	Claims  Claims // of the first access token
}

// Login is a sign-in that waits for its user, by "OAuth 2.0 device authorization grant flow on the Microsoft identity
// platform".
type Login struct {
	URL     string    // the page that the user opens, in any browser
	Code    string    // to be entered there
	Expires time.Time // of the code; zero: the authority does not say

	authority *authority
	device    func() *oauth2.DeviceAuthResponse // a function, so that printing a Login prints no device code
}

// The seconds between two requests that ask whether the user has signed in.
const (
	defaultInterval = 5   // by RFC 8628, section 3.2
	maxInterval     = 300 // a longer one is taken for a mistake
)

// scopes are what is asked for on behalf of a user: access to the API, a refresh token, and their name.
func (a *authority) scopes() []string {
	return []string{a.cred.Scope, "offline_access", "openid", "profile"}
}

// StartLogin asks the authority for a code that a user can sign in with. Its errors are *Error, except for
// incomplete credentials.
func StartLogin(ctx context.Context, cred Credentials, opts TokenOptions) (*Login, error) {
	a, err := newAuthority(cred, opts)
	if err != nil {
		return nil, err
	}
	config := a.config("")
	op := &operation{method: http.MethodPost, url: config.Endpoint.DeviceAuthURL, secrets: a.secrets, asUser: true}
	var device *oauth2.DeviceAuthResponse
	e := a.login(ctx, op, func(ctx context.Context) (err error) {
		device, err = config.DeviceAuth(context.WithValue(ctx, oauth2.HTTPClient, a.clientWith(ctx)))
		return err
	})
	if e != nil {
		return nil, e
	}
	if device.DeviceCode == "" || device.UserCode == "" || device.VerificationURI == "" {
		return nil, op.newError(codeBadResponse, "the authority's answer holds no code: check authority_url")
	}
	if device.Interval < 1 || device.Interval > maxInterval {
		device.Interval = defaultInterval
	}
	return &Login{
		URL: shorten(device.VerificationURI, maxDescription), Code: shorten(device.UserCode, maxWord), Expires: device.Expiry,
		authority: a, device: func() *oauth2.DeviceAuthResponse { return device },
	}, nil
}

// config returns the configuration of the library's flows for users. A device code is requested without a secret.
func (a *authority) config(secret Secret) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.cred.ClientID, ClientSecret: secret.Reveal(), Scopes: a.scopes(),
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: a.loginURL + "/devicecode", TokenURL: a.tokenURL, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// login makes a request of a login, with retries. A login is not part of a pass, so that nothing is counted.
func (a *authority) login(ctx context.Context, op *operation, request func(context.Context) error) *Error {
	prepare := func(context.Context) *Error { return nil }
	try := func(ctx context.Context) *Error { return op.authorityError(request(ctx)) }
	return a.retrier.do(ctx, new(Listing), op, prepare, try)
}

// clientWith returns the authority's client for requests that end with ctx. The library requests a device code without
// a context.
func (a *authority) clientWith(ctx context.Context) *http.Client {
	client := *a.client
	client.Transport = contextTransport{ctx, a.client.Transport}
	return &client
}

// contextTransport adds a context to requests that have none of their own.
type contextTransport struct {
	ctx  context.Context
	next http.RoundTripper
}

// RoundTrip sends the request in the context.
func (t contextTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.next.RoundTrip(req.WithContext(t.ctx))
}

// clientWithTimeout returns the authority's client with a timeout for each request. The library waits for the user and
// for an answer in the same context.
func (a *authority) clientWithTimeout() *http.Client {
	client := *a.client
	client.Timeout = a.timeout
	return &client
}

// Wait returns when the user has signed in, or no longer can. While the authority is out of reach, it tries again. Its
// errors are *Error.
func (l *Login) Wait(ctx context.Context) (SignedIn, error) {
	a := l.authority
	op := &operation{method: http.MethodPost, url: a.tokenURL, secrets: a.secrets, asUser: true}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.clientWithTimeout())
	secret, err := a.secret()
	if err != nil {
		return SignedIn{}, op.authorityError(err)
	}
	a.sent.Store(&secrets{secret, Secret(l.device().DeviceCode)})
	for {
		got, err := a.config(secret).DeviceAccessToken(ctx, l.device())
		if err == nil {
			return signedIn(op, got)
		}
		late := !l.Expires.IsZero() && !time.Now().Before(l.Expires)
		if late && ctx.Err() == nil {
			e := op.newError("AADSTS70020", "nobody has entered the code in time")
			e.Hint = authorityHint(op.asUser, e.Code, "")
			return SignedIn{}, e
		}
		if ctx.Err() != nil {
			return SignedIn{}, op.contextError(ctx.Err())
		}
		if e := op.authorityError(err); !e.retry {
			return SignedIn{}, e
		}
	}
}

// Redeem exchanges a refresh token from elsewhere for one of our own, and returns whose it is. Its errors are *Error,
// except for incomplete credentials.
func Redeem(ctx context.Context, cred Credentials, opts TokenOptions, refresh Secret) (SignedIn, error) {
	a, err := newAuthority(cred, opts)
	if err != nil {
		return SignedIn{}, err
	}
	op := &operation{method: http.MethodPost, url: a.tokenURL, secrets: a.secrets, asUser: true}
	var got *oauth2.Token
	e := a.login(ctx, op, func(ctx context.Context) (err error) {
		got, err = a.redeem(ctx, refresh)
		return err
	})
	if e != nil {
		return SignedIn{}, e
	}
	return signedIn(op, got)
}

// signedIn reads who has signed in: from the access token, else from the id token.
func signedIn(op *operation, got *oauth2.Token) (SignedIn, error) {
	if got.RefreshToken == "" {
		return SignedIn{}, op.newError(codeBadResponse,
			"the authority's answer holds no refresh token: allow the application offline_access")
	}
	s := SignedIn{Refresh: Secret(got.RefreshToken)}
	s.Claims, _ = ReadClaims(Secret(got.AccessToken))
	if s.User = s.Claims.User; s.User == "" {
		id, _ := got.Extra("id_token").(string)
		claims, _ := ReadClaims(Secret(id))
		s.User = claims.User
	}
	return s, nil
}
