package partnercenter

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// TokenOptions are what a TokenSource can do without.
type TokenOptions struct {
	Limiter        *Limiter          // the partner's, whose pauses hold for token requests as well; nil: none
	AttemptTimeout time.Duration     // of one attempt; 0: 3 minutes
	Version        string            // for User-Agent, as in Options
	Logger         *slog.Logger      // nil: discard; a warning for each retry
	Transport      http.RoundTripper // nil: our own, with 10 seconds to connect
}

// TokenSource gets access tokens and keeps the current one until shortly before it expires. It is safe for concurrent
// use: however many requests wait for a token, one token request is made.
type TokenSource struct {
	// fetch asks the authority for a token, once. It is a function, and not its credentials, so that printing a
	// TokenSource prints no secret.
	fetch func(context.Context) (*oauth2.Token, error)
	// secrets returns the secrets that fetch sends.
	secrets func() secrets

	url     string
	files   []string // that fetch reads
	asUser  bool     // tokens are a user's
	retrier retrier

	lock    chan struct{} // of the fields below; a channel, so that waiting for it can end with a context
	current *token
	failure failure

	expires  atomic.Int64 // of the current token, in Unix seconds; 0: there is none
	refusals refusals
}

// failure is the last failed fetch. It is also the answer to those who waited for it, and to later ones: until a time
// or, if it was a refusal, as long as that holds.
type failure struct {
	err     *Error
	at      time.Time
	until   time.Time
	refused bool
}

const (
	assumedLife  = time.Hour        // of a token whose reply states none
	maxMargin    = 2 * time.Minute  // a token is renewed so long before it expires
	renewalPause = 15 * time.Second // between attempts at that
	renewalTime  = 10 * time.Second // of such an attempt, since all requests wait for it
	failureHold  = 5 * time.Second  // of a failure other than a refusal, so that not each of many customers asks again
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
		asUser:  cred.Rotate != nil,
		files:   []string{cred.ClientSecretFile, cred.CertificateFile, cred.FederatedTokenFile},
		retrier: newRetrier(opts.AttemptTimeout, opts.Limiter, opts.Logger),
		lock:    make(chan struct{}, 1),
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

// Expires returns when the current access token expires, to the second; the zero time if there is none yet. It never
// waits.
func (s *TokenSource) Expires() time.Time {
	at := s.expires.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0)
}

// token returns the current token, and counts in l the requests made for it.
func (s *TokenSource) token(ctx context.Context, l *Listing) (*token, *Error) {
	asked := time.Now()
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, s.operation().contextError(ctx.Err())
	}
	switch {
	case s.current.valid() && time.Now().Before(s.current.renew):
		return s.current, nil
	case s.failed(asked):
		return nil, s.failure.err
	}
	return s.renew(ctx, l)
}

// renew requests a token, with retries, and keeps it or the failure. While the current one is valid, it makes one short
// attempt. Its caller has the lock.
func (s *TokenSource) renew(ctx context.Context, l *Listing) (*token, *Error) {
	retrier := s.retrier
	if s.current.valid() {
		retrier.attempts, retrier.timeout = 1, min(retrier.timeout, renewalTime)
	}
	op := s.operation()
	prepare := func(ctx context.Context) *Error {
		if err := retrier.limiter.waitForPause(ctx); err != nil {
			return op.contextError(err)
		}
		return nil
	}
	files := s.fileInfos() // before they are read: a file that is replaced meanwhile may hold the right secret
	var got *oauth2.Token
	e := retrier.do(ctx, l, op, prepare, func(ctx context.Context) *Error {
		var err error
		got, err = s.fetch(ctx)
		return op.authorityError(err)
	})
	if e != nil {
		return s.keepFailure(ctx, e, files)
	}
	now := time.Now()
	life := got.Expiry.Sub(now)
	if got.Expiry.IsZero() || life <= 0 {
		life = assumedLife
	}
	s.current = &token{
		access: Secret(got.AccessToken), got: now, expires: now.Add(life), renew: now.Add(life - min(life/10, maxMargin)),
		afterRejection: s.current != nil && s.current.rejected.Load(),
	}
	s.expires.Store(s.current.expires.Unix())
	s.failure = failure{}
	return s.current, nil
}

// keepFailure keeps the error of a request. It returns the current token if that is still valid and a later request may
// succeed.
func (s *TokenSource) keepFailure(ctx context.Context, e *Error, files []os.FileInfo) (*token, *Error) {
	now := time.Now()
	f := failure{err: e, at: now}
	switch {
	case ctx.Err() != nil: // it means nothing to others
		return nil, e
	case e.retry && s.current.valid():
		s.retrier.log.WarnContext(ctx, "token not renewed yet", "expires", s.current.expires, "err", e)
		s.current.renew = now.Add(max(renewalPause, e.after))
		return s.current, nil
	case e.retry:
		f.until = now.Add(failureHold)
	default:
		f.refused = true
		s.refusals.add(e, false, files)
	}
	s.failure = f
	return nil, e
}

func (s *TokenSource) operation() *operation {
	return &operation{method: http.MethodPost, url: s.url, secrets: s.secrets, asUser: s.asUser}
}

// failed reports whether the last failure is the answer to somebody who asked at that time: they waited while it
// happened, or came soon after it.
func (s *TokenSource) failed(asked time.Time) bool {
	f := &s.failure
	switch {
	case f.err == nil:
		return false
	case f.refused && asked.After(f.at):
		_, err := s.Refused()
		return err != nil
	}
	return !asked.After(f.at) || asked.Before(f.until)
}

// token is one access token.
type token struct {
	access  Secret
	got     time.Time
	renew   time.Time // from then on another one is asked for first; guarded by the source's lock
	expires time.Time

	afterRejection bool        // fetched because the API had rejected the token before
	worked         atomic.Bool // the API has accepted it
	rejected       atomic.Bool
}

// valid reports whether the API can be expected to accept the token, which may be nil.
func (t *token) valid() bool {
	return t != nil && !t.rejected.Load() && time.Now().Before(t.expires)
}

// reject marks the token as rejected, after a 401 of the API, and reports whether another one may help. It may not
// where this one was fetched a moment ago for the same reason and has never worked: otherwise every request of a pass
// would ask for yet another.
func (t *token) reject() bool {
	if t.afterRejection && !t.worked.Load() && time.Since(t.got) < refusalHold {
		return false
	}
	t.rejected.Store(true)
	return true
}
