package partnercenter

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// TokenOptions are what a TokenSource can do without.
type TokenOptions struct {
	Limiter        *Limiter          // the partner's, whose pauses hold for token requests too; nil: none
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
	// secrets are what fetch sends that is secret.
	secrets func() secrets

	url     string
	files   []string // that fetch reads
	courier courier

	turn    chan struct{} // holds one value while somebody uses the fields below
	current *token
	failure failure

	expires  atomic.Int64 // of the current token, in Unix seconds; 0: there is none
	refusals refusals
}

// failure is the last failed fetch.
type failure struct {
	err *Error
	at  time.Time
	// It also stands for those who come later: until then or, if it was a refusal, as long as refusals do.
	until   time.Time
	refused bool
}

const (
	assumedLife  = time.Hour        // of a token whose reply does not say
	maxMargin    = 2 * time.Minute  // a token is renewed so long before it expires
	renewalPause = 15 * time.Second // before another attempt at that
	renewalTime  = 10 * time.Second // for such an attempt, which all requests wait for
	failureHold  = 5 * time.Second  // a failure that is no refusal stands so long, so that many customers do not ask each
)

// NewTokenSource returns a source of tokens for these credentials. It makes no request, and reads no file.
func NewTokenSource(cred Credentials, opts TokenOptions) (*TokenSource, error) {
	a, err := newAuthority(cred, opts)
	if err != nil {
		return nil, err
	}
	fetch, err := a.grant()
	if err != nil {
		return nil, err
	}
	if cred.Rotate != nil {
		opts.AttemptTimeout = rotationTimeout
	}
	return &TokenSource{
		fetch:   fetch,
		secrets: a.secrets,
		url:     a.tokenURL,
		files:   []string{cred.ClientSecretFile, cred.CertificateFile, cred.FederatedTokenFile},
		courier: newCourier(opts.AttemptTimeout, opts.Limiter, opts.Logger),
		turn:    make(chan struct{}, 1),
	}, nil
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
	case s.holds(asked):
		return nil, s.failure.err
	}
	return s.renew(ctx, l)
}

// renew fetches a token and remembers how that went. Its caller has the turn.
func (s *TokenSource) renew(ctx context.Context, l *Listing) (*token, *Error) {
	got, e := s.request(ctx, l)
	if e != nil {
		return s.failed(ctx, e)
	}
	forced := s.current != nil && s.current.rejected.Load()
	s.current = newToken(got, forced)
	s.expires.Store(s.current.expires.Unix())
	s.failure = failure{}
	return s.current, nil
}

// request asks for a token, with retries. While the current one is good, it makes one attempt, for a short time.
func (s *TokenSource) request(ctx context.Context, l *Listing) (got *oauth2.Token, e *Error) {
	courier := s.courier
	if s.current.good() {
		courier.attempts, courier.timeout = 1, min(courier.timeout, renewalTime)
	}
	o := s.operation()
	ready := func() *Error {
		if err := courier.limiter.waitForPause(ctx); err != nil {
			return o.ended(err)
		}
		return nil
	}
	e = courier.deliver(ctx, l, o, ready, func(ctx context.Context) *Error {
		var err error
		got, err = s.fetch(ctx)
		return o.denied(err)
	})
	return got, e
}

// failed remembers a failed request. It returns the current token where that is good still and there may soon be another.
func (s *TokenSource) failed(ctx context.Context, e *Error) (*token, *Error) {
	now := time.Now()
	f := failure{err: e, at: now}
	switch {
	case ctx.Err() != nil: // it says nothing to others
		return nil, e
	case e.retry && s.current.good():
		s.courier.log.WarnContext(ctx, "token not renewed yet", "expires", s.current.expires, "err", e)
		s.current.renew = now.Add(max(renewalPause, e.after))
		return s.current, nil
	case e.retry:
		f.until = now.Add(failureHold)
	case !e.ended:
		f.refused = true
		s.refusals.add(e, false)
	}
	s.failure = f
	return nil, e
}

func (s *TokenSource) operation() *operation {
	return &operation{method: http.MethodPost, url: s.url, secrets: s.secrets}
}

// holds says whether the last failure is also the answer to one who asked at that time: who waited while it happened, or
// who comes soon after it.
func (s *TokenSource) holds(asked time.Time) bool {
	switch {
	case s.failure.err == nil:
		return false
	case s.failure.refused && asked.After(s.failure.at):
		_, err := s.Refused()
		return err != nil
	}
	return !asked.After(s.failure.at) || asked.Before(s.failure.until)
}

// token is one access token.
type token struct {
	access  Secret
	got     time.Time
	renew   time.Time // from then on another one is asked for first; changed by who has the turn
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

// good says whether the API can be expected to take the token.
func (t *token) good() bool {
	return t != nil && !t.rejected.Load() && time.Now().Before(t.expires)
}

func (t *token) usable() bool { return t.good() && time.Now().Before(t.renew) }

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
