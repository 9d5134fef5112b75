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
	Expires time.Time // when it is too late

	authority *authority
	device    func() *oauth2.DeviceAuthResponse // a function, so that printing a Login prints no device code
}

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
	device, err := config.DeviceAuth(context.WithValue(ctx, oauth2.HTTPClient, a.impatient()))
	if err != nil {
		return nil, o.denied(err)
	}
	if device.DeviceCode == "" || device.UserCode == "" || device.VerificationURI == "" {
		return nil, o.fail(codeBadResponse, "the authority's answer holds no code: check authority_url")
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

// impatient returns the authority's client with a timeout of its own: the library asks for a device code without a context.
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
	got, err := a.redeem(ctx, refresh)
	if err != nil {
		return SignedIn{}, o.denied(err)
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
