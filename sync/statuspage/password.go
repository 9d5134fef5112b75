package statuspage

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	stdsync "sync"
	"time"

	"golang.org/x/time/rate"
)

// withPassword shows the page to those who know the password. On an address that only this machine can connect to, a
// proxy here may ask for anybody, but does so by a loopback host or that of Options.PageURL.
func (s *Site) withPassword(loopback bool, page http.Handler) http.Handler {
	pageHost := ""
	if u, err := url.Parse(s.options.PageURL); err == nil {
		pageHost = hostname(u.Host)
	}
	want := sha256.Sum256([]byte(s.options.Password.Reveal()))
	tries := guesses{by: map[netip.Prefix]*guesser{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loopback && !isLoopbackHost(r.Host) && (pageHost == "" || hostname(r.Host) != pageHost) {
			http.Error(w, "the status page is only for hosts such as localhost and 127.0.0.1, and that of page_url: "+
				"ask for it by one of them, or set page_url", http.StatusMisdirectedRequest)
			return
		}
		tried := guess{}
		if _, password, given := r.BasicAuth(); given {
			// Hashes are of equal length, so that the time of the comparison tells nothing.
			got := sha256.Sum256([]byte(password))
			tried = tries.try(askedFrom(r), subtle.ConstantTimeCompare(got[:], want[:]) == 1)
		}
		if tried.toLog > 0 {
			s.log.Warn("wrong password for the status page", "address", askedFrom(r).String(), "attempts", tried.toLog)
		}
		switch {
		case tried.right:
			page.ServeHTTP(w, r)
		case tried.unread:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many wrong passwords: try again in a second", http.StatusTooManyRequests)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="partnersync", charset="UTF-8"`)
			http.Error(w, "the status page needs the password of status_page_password_file, under any user name",
				http.StatusUnauthorized)
		}
	})
}

// guesses keeps passwords from being tried out: an address that has given wrong ones may try again once a second. The
// right password from elsewhere is never kept waiting.
type guesses struct {
	mu stdsync.Mutex
	by map[netip.Prefix]*guesser
}

// guesser is an address that has given a wrong password.
type guesser struct {
	left     *rate.Limiter // wrong passwords that it may give
	last     time.Time
	logged   time.Time
	unlogged int // wrong passwords since
}

const (
	guessesAtOnce = 5
	guessPause    = time.Second
	guessLogPause = time.Minute
	maxGuessers   = 1000
)

// guess is what comes of a password that an address gave.
type guess struct {
	right  bool
	unread bool // whether it is right is not told: the address has to wait
	toLog  int  // how many wrong ones there were since they were last to be logged; 0: that was less than a minute ago
}

// try counts a password that an address gave.
func (g *guesses) try(from netip.Prefix, isRight bool) guess {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	by := g.find(from)
	if by != nil && by.left.TokensAt(now) < 1 {
		return guess{unread: true}
	}
	if isRight {
		return guess{right: true}
	}
	if by == nil {
		by = g.add(from, now)
	}
	by.left.AllowN(now, 1)
	by.last = now
	if by.unlogged++; now.Sub(by.logged) < guessLogPause {
		return guess{}
	}
	wrong := guess{toLog: by.unlogged}
	by.unlogged, by.logged = 0, now
	return wrong
}

// find returns what is known of an address; nil: nothing. If there are too many, all further ones are as one.
func (g *guesses) find(from netip.Prefix) *guesser {
	if by := g.by[from]; by != nil || len(g.by) < maxGuessers {
		return by
	}
	return g.by[netip.Prefix{}]
}

func (g *guesses) add(from netip.Prefix, now time.Time) *guesser {
	if len(g.by) >= maxGuessers {
		maps.DeleteFunc(g.by, func(_ netip.Prefix, by *guesser) bool { return now.Sub(by.last) > guessLogPause })
	}
	if len(g.by) >= maxGuessers {
		from = netip.Prefix{}
	}
	by := &guesser{left: rate.NewLimiter(rate.Every(guessPause), guessesAtOnce)}
	g.by[from] = by
	return by
}

// askedFrom returns the address that a request comes from: the one that a proxy on this machine names, if it is from
// there. One machine may have all the IPv6 addresses of a network.
func askedFrom(r *http.Request) netip.Prefix {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	address, _ := netip.ParseAddr(host)
	if address.Unmap().IsLoopback() {
		passedOn := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		nearest := passedOn[strings.LastIndexByte(passedOn, ',')+1:] // the others are whatever the client says
		if named, err := netip.ParseAddr(strings.TrimSpace(nearest)); err == nil {
			address = named
		}
	}
	bits := 32
	if address = address.Unmap(); address.Is6() {
		bits = 64
	}
	prefix, _ := address.WithZone("").Prefix(bits) // the zero one for an address that cannot be read
	return prefix
}
