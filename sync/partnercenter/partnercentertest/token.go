package partnercentertest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// holder is who an access token was issued to, and until when it is valid.
type holder struct {
	end  time.Time
	user *user // nil: the application alone
}

// user is a user who has signed in.
type user struct {
	name string
	mfa  bool // a second factor was used
}

// RevokeTokens invalidates every access token issued so far.
func (e *Emulator) RevokeTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.tokens)
}

// RequireMFA makes the API refuse tokens of users who have signed in without a second factor, as it does since
// 2026, or accept them again. The application's own tokens are not affected.
func (e *Emulator) RequireMFA(required bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mfaRequired = required
}

// grants are the ways to obtain a token, by their names in the form.
var grants = map[string]func(e *Emulator, q *query) (answer, *refusal){
	"client_credentials": (*Emulator).grantApplication,
	"refresh_token":      (*Emulator).grantRefresh,
	deviceGrant:          (*Emulator).grantDevice,
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// token answers a request to the token endpoint.
func (e *Emulator) token(q *query) (answer, *refusal) {
	grant := grants[q.grant]
	if grant == nil {
		return answer{}, refuse(http.StatusBadRequest, "unsupported_grant_type",
			"AADSTS70003: The app requested an unsupported grant type '%s'.", q.grant)
	}
	return grant(e, q)
}

// grantApplication issues a token to the application itself, which sends its secret or an assertion.
func (e *Emulator) grantApplication(q *query) (answer, *refusal) {
	if refused := e.authenticate(q, true); refused != nil {
		return answer{}, refused
	}
	if !q.v1 && (len(q.scope) != 1 || !strings.HasSuffix(q.scope[0], "/.default")) {
		return answer{}, refuse(http.StatusBadRequest, "invalid_scope",
			"AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value "+
				"with /.default suffixed to the resource identifier (application ID URI).",
			strings.Join(q.scope, " "))
	}
	return e.tokenAnswer(q, nil, ""), nil
}

// authenticate refuses an application that does not prove its identity. A public one need not, unless it must.
func (e *Emulator) authenticate(q *query, must bool) *refusal {
	secret, assertion := q.r.PostFormValue("client_secret"), q.r.PostFormValue("client_assertion")
	switch {
	case assertion != "":
		return e.checkAssertion(q, assertion)
	case secret == e.opts.ClientSecret, secret == "" && !must && !e.opts.Confidential:
		return nil
	case secret == "" && !must:
		return refuse(http.StatusUnauthorized, "invalid_client",
			"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	return refuse(http.StatusUnauthorized, "invalid_client",
		"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret "+
			"value, not the client secret ID, for a secret added to app '%s'.", q.clientID)
}

// tokenAnswer issues an access token, together with a refresh token if there is one and the user's id token if
// requested.
func (e *Emulator) tokenAnswer(q *query, u *user, refresh string) answer {
	now := time.Now()
	life := int64(e.opts.TokenLifetime.Seconds())
	number := func(n int64) any {
		if q.v1 {
			return strconv.FormatInt(n, 10)
		}
		return n
	}
	members := map[string]any{
		"token_type": "Bearer", "expires_in": number(life), "ext_expires_in": number(life), "access_token": e.newToken(q, u),
	}
	if q.v1 {
		members["expires_on"], members["not_before"] = number(now.Unix()+life), number(now.Unix())
		members["resource"] = q.audience()
	}
	if refresh != "" {
		members["refresh_token"], members["scope"] = refresh, q.audience()+"/user_impersonation"
	}
	if u != nil && q.openID["openid"] {
		members["id_token"] = e.jwt(map[string]any{"aud": q.clientID, "tid": e.opts.TenantID, "preferred_username": u.name})
	}
	body, _ := json.Marshal(members) // strings and numbers
	return entraAnswer(http.StatusOK, body)
}

// newToken issues an access token, and forgets those that have expired.
func (e *Emulator) newToken(q *query, u *user) string {
	now := time.Now()
	end := now.Add(e.opts.TokenLifetime)
	claims := map[string]any{
		"aud": q.audience(), "tid": e.opts.TenantID, "appid": e.opts.ClientID,
		"iat": now.Unix(), "exp": end.Unix(), "uti": rand.Text(),
	}
	if u != nil {
		claims["upn"], claims["scp"], claims["amr"] = u.name, "user_impersonation", u.methods()
	}
	token := e.jwt(claims)
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.tokens, func(_ string, h holder) bool { return !now.Before(h.end) })
	e.tokens[token] = holder{end, u}
	return token
}

func (u *user) methods() []string {
	if u.mfa {
		return []string{"pwd", "mfa"}
	}
	return []string{"pwd"}
}

// jwt returns a token with these claims and a signature that nobody can verify: only the API reads its tokens.
func (e *Emulator) jwt(claims map[string]any) string {
	payload, _ := json.Marshal(claims) // strings and numbers
	part := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf("%s.%s.%s", part([]byte(`{"typ":"JWT","alg":"RS256"}`)), part(payload), rand.Text()+rand.Text())
}

// RefreshTokenLife is how long a refresh token is valid after it was issued, by the emulator's clock.
const RefreshTokenLife = 90 * 24 * time.Hour

// refreshToken is one refresh token. Each use issues another one, and a token stays valid until one of its
// successors has been used, since a client that was interrupted in between has only the old one. After that it
// counts as stolen, and using it ends the sign-in.
type refreshToken struct {
	*signIn
	parent *refreshToken
	issued time.Time // by the emulator's clock
	spent  bool      // a successor has been used
}

// signIn is what all refresh tokens of one sign-in have in common.
type signIn struct {
	user    *user
	revoked bool
}

// RefreshToken signs in a user and returns a refresh token, as another program might have obtained it.
func (e *Emulator) RefreshToken(userName string, mfa bool) string {
	return e.newRefreshToken(&refreshToken{signIn: &signIn{user: &user{name: userName, mfa: mfa}}})
}

// RevokeSignIns invalidates every refresh token issued so far, as a changed password does.
func (e *Emulator) RevokeSignIns() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.refreshTokens {
		t.revoked = true
	}
}

func (e *Emulator) newRefreshToken(t *refreshToken) string {
	token := "1.A" + rand.Text() + rand.Text()
	t.issued = e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refreshTokens[token] = t
	return token
}

// grantRefresh exchanges a refresh token.
func (e *Emulator) grantRefresh(q *query) (answer, *refusal) {
	if refused := e.authenticate(q, false); refused != nil {
		return answer{}, refused
	}
	token, refused := e.redeem(q.r.PostFormValue("refresh_token"))
	if refused != nil {
		return answer{}, refused
	}
	next := e.newRefreshToken(&refreshToken{signIn: token.signIn, parent: token})
	return e.tokenAnswer(q, token.user, next), nil
}

// redeem uses a refresh token.
func (e *Emulator) redeem(token string) (*refreshToken, *refusal) {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.refreshTokens[token]
	switch {
	case t == nil:
		return nil, refuse(http.StatusBadRequest, "invalid_grant", "AADSTS70000: Provided grant is invalid or malformed.")
	case t.spent:
		t.revoked = true
	}
	switch {
	case t.revoked:
		return nil, refuse(http.StatusBadRequest, "invalid_grant",
			"AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed.")
	case now.Sub(t.issued) >= RefreshTokenLife:
		return nil, refuse(http.StatusBadRequest, "invalid_grant",
			"AADSTS700082: The refresh token has expired due to inactivity. "+
				"The token was issued on %s and was inactive for 90.00:00:00.",
			t.issued.UTC().Format("2006-01-02T15:04:05.0000000Z"))
	}
	if t.parent != nil {
		t.parent.spent = true
	}
	return t, nil
}
