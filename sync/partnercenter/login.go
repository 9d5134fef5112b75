package partnercenter

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// SignedIn is a user on whose behalf the application may ask for tokens from now on.
type SignedIn struct {
	User    string // as the authority names it; "" if it does not say
	Refresh Secret // to be kept sealed
	Claims  Claims // of the first access token
}

// Login is the sign-in of a user that waits for him, by "OAuth 2.0 device authorization grant flow on the Microsoft
// identity platform".
type Login struct {
	URL     string    // where the user goes, with any browser
	Code    string    // what he enters there
	Expires time.Time // when it is too late; zero: the authority does not say

	authority *authority
	device    func() *oauth2.DeviceAuthResponse // a function, so that printing a Login prints no device code
}

// The seconds between two questions whether the user has signed in: by RFC 8628, section 3.2, and what is taken for a mistake.
const (
	defaultInterval = 5
	maxInterval     = 300
)

// scopes are what the authority is asked for on behalf of a user: the API, a refresh token, and who he is.
func (a *authority) scopes() []string {
	return []string{a.cred.Scope, "offline_access", "openid", "profile"}
}

// StartLogin asks the authority for a code that a user can sign in with. Its errors are *Error but for wrong credentials.
func StartLogin(ctx context.Context, cred Credentials, opts TokenOptions) (*Login, error) {
	a, err := newAuthority(cred, opts)
	if err != nil {
		return nil, err
	}
	config := a.config("")
	o := &operation{method: http.MethodPost, url: config.Endpoint.DeviceAuthURL, secrets: a.secrets}
	var device *oauth2.DeviceAuthResponse
	e := a.deliver(ctx, o, func(ctx context.Context) (err error) {
		device, err = config.DeviceAuth(context.WithValue(ctx, oauth2.HTTPClient, a.during(ctx)))
		return err
	})
	if e != nil {
		return nil, e
	}
	if device.DeviceCode == "" || device.UserCode == "" || device.VerificationURI == "" {
		return nil, o.fail(codeBadResponse, "the authority's answer holds no code: check authority_url")
	}
	if device.Interval < 1 || device.Interval > maxInterval {
		device.Interval = defaultInterval
	}
	return &Login{
		URL: clean(device.VerificationURI, maxDescription), Code: clean(device.UserCode, maxWord), Expires: device.Expiry,
		authority: a, device: func() *oauth2.DeviceAuthResponse { return device },
	}, nil
}

// config returns the authority as the library's other flows know it; they ask for a device code without a secret.
func (a *authority) config(secret Secret) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.cred.ClientID, ClientSecret: secret.Reveal(), Scopes: a.scopes(),
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: a.loginURL + "/devicecode", TokenURL: a.tokenURL, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// deliver makes a request of a login, with retries. A login is no part of a pass, so that nothing is counted.
func (a *authority) deliver(ctx context.Context, o *operation, request func(context.Context) error) *Error {
	ready := func() *Error { return nil }
	return a.courier.deliver(ctx, new(Listing), o, ready, func(ctx context.Context) *Error { return o.denied(request(ctx)) })
}

// during returns the authority's client for requests that end with ctx: the library asks for a device code without one.
func (a *authority) during(ctx context.Context) *http.Client {
	client := *a.client
	client.Transport = inContext{ctx, a.client.Transport}
	return &client
}

// inContext carries requests that have no context of their own.
type inContext struct {
	ctx  context.Context
	next http.RoundTripper
}

func (t inContext) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.next.RoundTrip(req.WithContext(t.ctx))
}

// impatient returns the authority's client with a timeout of its own: the library waits for the user and for an answer in
// the same context.
func (a *authority) impatient() *http.Client {
	client := *a.client
	client.Timeout = a.timeout
	return &client
}

// Wait returns once the user has signed in, or cannot any more. An authority that is out of reach for a while is asked
// again. Its errors are *Error.
func (l *Login) Wait(ctx context.Context) (SignedIn, error) {
	a := l.authority
	o := &operation{method: http.MethodPost, url: a.tokenURL, secrets: a.secrets}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.impatient())
	secret, err := a.secret()
	if err != nil {
		return SignedIn{}, o.denied(err)
	}
	a.sent.Store(&secrets{secret, Secret(l.device().DeviceCode)})
	for {
		got, err := a.config(secret).DeviceAccessToken(ctx, l.device())
		if err == nil {
			return signedIn(o, got)
		}
		late := !l.Expires.IsZero() && !time.Now().Before(l.Expires)
		if late && ctx.Err() == nil {
			e := o.fail("AADSTS70020", "nobody has entered the code in time")
			e.Hint = denialHints[e.Code]
			return SignedIn{}, e
		}
		if ctx.Err() != nil {
			return SignedIn{}, o.ended(ctx.Err())
		}
		if e := o.denied(err); !e.retry {
			return SignedIn{}, e
		}
	}
}

// Redeem exchanges a refresh token that was got elsewhere for one of our own, and tells whose it is. Its errors are *Error
// but for wrong credentials.
func Redeem(ctx context.Context, cred Credentials, opts TokenOptions, refresh Secret) (SignedIn, error) {
	a, err := newAuthority(cred, opts)
	if err != nil {
		return SignedIn{}, err
	}
	o := &operation{method: http.MethodPost, url: a.tokenURL, secrets: a.secrets}
	var got *oauth2.Token
	e := a.deliver(ctx, o, func(ctx context.Context) (err error) {
		got, err = a.redeem(ctx, refresh)
		return err
	})
	if e != nil {
		return SignedIn{}, e
	}
	return signedIn(o, got)
}

// signedIn reads who has signed in: from the access token, else from the id token beside it.
func signedIn(o *operation, got *oauth2.Token) (SignedIn, error) {
	if got.RefreshToken == "" {
		return SignedIn{}, o.fail(codeBadResponse, "the authority's answer holds no refresh token: allow the application offline_access")
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
