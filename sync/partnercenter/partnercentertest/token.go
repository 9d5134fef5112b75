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

// holder is whom an access token was given to, and until when it is good.
type holder struct {
	end  time.Time
	user *user // nil: the application alone
}

// user is somebody who has signed in.
type user struct {
	name string
	mfa  bool // with a second factor
}

// RevokeTokens makes every access token given out so far a bad one.
func (e *Emulator) RevokeTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.tokens)
}

// RequireMFA makes the API refuse tokens of users who have signed in without a second factor, as it does since 2026, or
// takes them again. Applications alone are not concerned.
func (e *Emulator) RequireMFA(required bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mfaRequired = required
}

// grants are the ways to a token, by their names in the form.
var grants = map[string]func(e *Emulator, q *query) (answer, *refusal){
	"client_credentials": (*Emulator).grantApplication,
	"refresh_token":      (*Emulator).grantRefresh,
	deviceGrant:          (*Emulator).grantDevice,
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// token answers the token endpoint.
func (e *Emulator) token(q *query) (answer, *refusal) {
	grant := grants[q.grant]
	if grant == nil {
		return answer{}, refuse(http.StatusBadRequest, "unsupported_grant_type",
			"AADSTS70003: The app requested an unsupported grant type '%s'.", q.grant)
	}
	return grant(e, q)
}

// grantApplication gives a token to the application itself: with its secret or an assertion.
func (e *Emulator) grantApplication(q *query) (answer, *refusal) {
	if refused := e.wrongClient(q, true); refused != nil {
		return answer{}, refused
	}
	if !q.v1 && (len(q.scope) != 1 || !strings.HasSuffix(q.scope[0], "/.default")) {
		return answer{}, refuse(http.StatusBadRequest, "invalid_scope",
			"AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
			strings.Join(q.scope, " "))
	}
	return e.tokenAnswer(q, nil, ""), nil
}

// wrongClient refuses an application that does not prove who it is. Where it need not, as a public one, it may.
func (e *Emulator) wrongClient(q *query, must bool) *refusal {
	secret, assertion := q.r.PostFormValue("client_secret"), q.r.PostFormValue("client_assertion")
	switch {
	case assertion != "":
		return e.wrongAssertion(q, assertion)
	case secret == e.opts.ClientSecret, secret == "" && !must && !e.opts.Confidential:
		return nil
	case secret == "" && !must:
		return refuse(http.StatusUnauthorized, "invalid_client",
			"AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	return refuse(http.StatusUnauthorized, "invalid_client",
		"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", q.clientID)
}

// tokenAnswer gives out an access token; with a refresh token beside it, and the user's id token if that was asked for.
func (e *Emulator) tokenAnswer(q *query, u *user, refresh string) answer {
	now := time.Now()
	life := int64(e.opts.TokenLifetime.Seconds())
	number := func(n int64) any {
		if q.v1 {
			return strconv.FormatInt(n, 10)
		}
		return n
	}
	said := map[string]any{
		"token_type": "Bearer", "expires_in": number(life), "ext_expires_in": number(life), "access_token": e.newToken(q, u),
	}
	if q.v1 {
		said["expires_on"], said["not_before"] = number(now.Unix()+life), number(now.Unix())
		said["resource"] = q.audience()
	}
	if refresh != "" {
		said["refresh_token"], said["scope"] = refresh, q.audience()+"/user_impersonation"
	}
	if u != nil && q.openID["openid"] {
		said["id_token"] = e.jwt(map[string]any{"aud": q.clientID, "tid": e.opts.TenantID, "preferred_username": u.name})
	}
	body, _ := json.Marshal(said) // strings and numbers
	return entraAnswer(http.StatusOK, body)
}

// newToken gives out an access token, and forgets those that have ended.
func (e *Emulator) newToken(q *query, u *user) string {
	now := time.Now()
	end := now.Add(e.opts.TokenLifetime)
	claims := map[string]any{
		"aud": q.audience(), "tid": e.opts.TenantID, "appid": e.opts.ClientID, "iat": now.Unix(), "exp": end.Unix(), "uti": rand.Text(),
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

// jwt returns a token with these claims and no signature that anybody could verify: the API's tokens are the API's to read.
func (e *Emulator) jwt(claims map[string]any) string {
	payload, _ := json.Marshal(claims) // strings and numbers
	part := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf("%s.%s.%s", part([]byte(`{"typ":"JWT","alg":"RS256"}`)), part(payload), rand.Text()+rand.Text())
}
