package partnercenter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials sign an application in with a client secret, as the API documentation's "Partner Center
// authentication" says for app-only access.
type Credentials struct {
	AuthorityURL string // such as a [Cloud]'s; a trailing "/" is tolerated
	TenantID     string // the partner's tenant: an id or a domain
	ClientID     string
	ClientSecret Secret
	Scope        string // such as a [Cloud]'s
}

// TokenOptions are what a TokenSource can do without.
type TokenOptions struct {
	AttemptTimeout time.Duration     // of one attempt; 0: 3 minutes
	Version        string            // for User-Agent, as in Options
	Logger         *slog.Logger      // nil: discard; a warning for each retry
	Transport      http.RoundTripper // nil: our own, with 10 seconds to connect
}

// TokenSource gets access tokens and keeps the current one until shortly before it expires. It is safe for concurrent
// use: however many requests wait for a token, one token request is made.
type TokenSource struct {
	// fetch asks the authority for a token, once. A function rather than its credentials, so that printing a
	// TokenSource prints no secret.
	fetch func(context.Context) (*oauth2.Token, error)
	// hide takes out of a text what fetch sends that is secret.
	hide func(string) string

	url     string
	courier courier

	turn    chan struct{} // holds one value while somebody uses the fields below
	current *token
	failure failure

	expires atomic.Int64 // of the current token, in Unix seconds; 0: there is none
}

// failure is the last failed fetch.
type failure struct {
	err  *Error
	at   time.Time
	hold time.Duration // how long it also stands for those who come later
}

const (
	assumedLife = time.Hour        // of a token whose reply does not say
	maxMargin   = 2 * time.Minute  // a token is renewed so long before it expires
	refusalHold = 30 * time.Second // a refusal stands, so that many customers do not ask the authority each
)

// NewTokenSource returns a source of tokens for these credentials. It makes no request.
func NewTokenSource(cred Credentials, opts TokenOptions) (*TokenSource, error) {
	authority, err := parseBase(cred.AuthorityURL)
	if err != nil {
		return nil, fmt.Errorf("reading the authority URL: %w", err)
	}
	for name, value := range map[string]string{
		"tenant id": cred.TenantID, "client id": cred.ClientID,
		"client secret": cred.ClientSecret.Reveal(), "scope": cred.Scope,
	} {
		if value == "" {
			return nil, fmt.Errorf("signing in needs a %s", name)
		}
	}
	tokenURL := authority.String() + "/" + url.PathEscape(cred.TenantID) + "/oauth2/v2.0/token"
	return &TokenSource{
		fetch:   withSecret(cred, tokenURL, tokenClient(opts)),
		hide:    cred.ClientSecret.hide,
		url:     tokenURL,
		courier: newCourier(opts.AttemptTimeout, nil, opts.Logger),
		turn:    make(chan struct{}, 1),
	}, nil
}

// withSecret returns the fetch of client credentials.
func withSecret(cred Credentials, tokenURL string, client *http.Client) func(context.Context) (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID:     cred.ClientID,
		ClientSecret: cred.ClientSecret.Reveal(),
		TokenURL:     tokenURL,
		Scopes:       []string{cred.Scope},
		AuthStyle:    oauth2.AuthStyleInParams, // guessing would double each failing request
	}
	return func(ctx context.Context) (*oauth2.Token, error) {
		return config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	}
}

// Token returns the current access token, asking the authority for one where there is none. Its errors are *Error.
func (s *TokenSource) Token(ctx context.Context) (Secret, error) {
	t, e := s.token(ctx, new(Listing))
	if e != nil {
		return "", e
	}
	return t.access, nil
}

// Expires returns when the current access token expires, to the second; the zero time if there is none yet. It never waits.
func (s *TokenSource) Expires() time.Time {
	at := s.expires.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0)
}

// token returns the current token and counts in l the requests made for it.
func (s *TokenSource) token(ctx context.Context, l *Listing) (*token, *Error) {
	asked := time.Now()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, s.operation().ended(ctx.Err())
	}
	switch {
	case s.current.usable():
		return s.current, nil
	case s.failure.holds(asked):
		return nil, s.failure.err
	}
	return s.renew(ctx, l)
}

// renew fetches a token, with retries, and remembers how that went. Its caller has the turn.
func (s *TokenSource) renew(ctx context.Context, l *Listing) (*token, *Error) {
	o := s.operation()
	var got *oauth2.Token
	e := s.courier.deliver(ctx, l, o, func() *Error { return nil }, func(ctx context.Context) *Error {
		var err error
		got, err = s.fetch(ctx)
		return o.denied(err)
	})
	if e != nil {
		if ctx.Err() == nil { // otherwise it says nothing to others
			s.failure = failure{err: e, at: time.Now()}
			if !e.retry {
				s.failure.hold = refusalHold
			}
		}
		return nil, e
	}
	forced := s.current != nil && s.current.rejected.Load()
	s.current = newToken(got, forced)
	s.expires.Store(s.current.expires.Unix())
	s.failure = failure{}
	return s.current, nil
}

func (s *TokenSource) operation() *operation {
	return &operation{method: http.MethodPost, url: s.url, hide: s.hide}
}

// holds says whether the failure is also the answer to one who asked at that time: who waited while it happened, or
// who comes soon after a refusal.
func (f *failure) holds(asked time.Time) bool {
	return f.err != nil && (!asked.After(f.at) || time.Since(f.at) < f.hold)
}

// token is one access token.
type token struct {
	access  Secret
	got     time.Time
	renew   time.Time // from then on it is no longer handed out
	expires time.Time
	forced  bool // fetched because the API had rejected the one before

	worked   atomic.Bool // the API has accepted it
	rejected atomic.Bool
}

func newToken(from *oauth2.Token, forced bool) *token {
	now := time.Now()
	life := from.Expiry.Sub(now)
	if from.Expiry.IsZero() || life <= 0 {
		life = assumedLife
	}
	margin := min(life/10, maxMargin)
	return &token{access: Secret(from.AccessToken), got: now, renew: now.Add(life - margin), expires: now.Add(life), forced: forced}
}

func (t *token) usable() bool {
	return t != nil && !t.rejected.Load() && time.Now().Before(t.renew)
}

// reject is told that the API answered 401 to this token, and says whether another one may help. It does not where this
// one was fetched a moment ago for the same reason and has never worked: then every request of a pass would ask for
// yet another.
func (t *token) reject() bool {
	if t.forced && !t.worked.Load() && time.Since(t.got) < refusalHold {
		return false
	}
	t.rejected.Store(true)
	return true
}

// denied returns the error of a token request. Neither the reply's body nor the library's message, which holds it, may
// come into it: only the OAuth error code, the authority's own number, and a hint of ours.
func (o *operation) denied(err error) *Error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		e := o.fail(o.hidden(denialCode(reply)), "")
		e.RequestID = o.said(reply.Response.Header.Get("x-ms-request-id"), maxWord)
		e.answered(reply.Response)
		e.Hint = tokenHint(e.Code)
		return e
	}
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return o.unanswered(broken.Err)
	}
	return o.fail(codeBadResponse, "the authority's answer holds no token: check authority_url")
}

// denialCode returns the authority's own number ("AADSTS7000215"), else the OAuth error code ("invalid_client").
func denialCode(reply *oauth2.RetrieveError) string {
	if _, rest, ok := strings.Cut(reply.ErrorDescription, "AADSTS"); ok {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits > 0 && digits <= 10 {
			return "AADSTS" + rest[:digits]
		}
	}
	notOfCode := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if len(reply.ErrorCode) > 40 || strings.ContainsFunc(reply.ErrorCode, notOfCode) {
		return ""
	}
	return reply.ErrorCode
}

// tokenHint explains the authority's commonest refusals, whose numbers are those of Microsoft's "Microsoft Entra
// authentication and authorization error codes".
func tokenHint(code string) string {
	switch code {
	case "AADSTS7000215":
		return "wrong client secret: use the secret's value, not its id"
	case "AADSTS7000222":
		return "the client secret has expired: make a new one"
	case "AADSTS700016":
		return "unknown client_id in this tenant: check client_id, tenant_id and cloud"
	case "AADSTS90002":
		return "unknown tenant: check tenant_id and cloud"
	case "AADSTS50173", "AADSTS700082":
		return "the sign-in was revoked or has expired: sign in again"
	case "AADSTS50076":
		return hintMFA
	case "invalid_client":
		return "the authority does not accept the client_id or the client secret"
	}
	return ""
}
