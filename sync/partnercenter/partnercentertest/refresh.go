package partnercentertest

import (
	"crypto/rand"
	"net/http"
	"time"
)

// RefreshTokenLife is how long a refresh token is good after it was given out, by the emulator's clock.
const RefreshTokenLife = 90 * 24 * time.Hour

// refreshToken is one refresh token. Each use gives out another one, and a token stays good until one that came of it has
// been used: whoever was interrupted in between has only the old one. Afterwards it is a stolen one, and ends the sign-in.
type refreshToken struct {
	*signIn
	parent *refreshToken
	issued time.Time // by the emulator's clock
	spent  bool      // one that came of it has been used
}

// signIn is what all refresh tokens of one sign-in have in common.
type signIn struct {
	user    *user
	revoked bool
}

// RefreshToken signs a user in and returns a refresh token, as another program might have got it.
func (e *Emulator) RefreshToken(userName string, mfa bool) string {
	return e.newRefreshToken(&refreshToken{signIn: &signIn{user: &user{name: userName, mfa: mfa}}})
}

// RevokeSignIns makes every refresh token given out so far a bad one, as a changed password does.
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
	if refused := e.wrongClient(q, false); refused != nil {
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
			"AADSTS700082: The refresh token has expired due to inactivity. The token was issued on %s and was inactive for 90.00:00:00.",
			t.issued.UTC().Format("2006-01-02T15:04:05.0000000Z"))
	}
	if t.parent != nil {
		t.parent.spent = true
	}
	return t, nil
}
