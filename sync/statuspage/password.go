package statuspage

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash/fnv"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	stdsync "sync"
	"time"
)

// withPassword shows the page to those who know the password. On an address that only this machine can connect to, a
// proxy here may ask for anybody, but does so by a loopback host or that of Options.PageURL.
func (s *Site) withPassword(loopback bool, page http.Handler) http.Handler {
	pageHost := ""
	if u, err := url.Parse(s.options.PageURL); err == nil {
		pageHost = hostname(u.Host)
	}
	want := sha256.Sum256([]byte(s.options.Password.Reveal()))
	var tries guesses
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

const (
	guessesAtOnce = 5
	guessPause    = time.Second
	guessLogPause = time.Minute
)

// guesses keeps passwords from being tried out: an address that has given wrong ones may try again once a second. The
// right password from elsewhere is not kept waiting. Each of its many elements is for the addresses of one hash.
type guesses struct {
	mu stdsync.Mutex
	by [1024]struct {
		paid     time.Time // when the wrong passwords so far have been waited for
		logged   time.Time
		unlogged int // wrong passwords since
	}
}

// guess is what comes of a password that an address gave.
type guess struct {
	right  bool
	unread bool // whether it is right is not told: the address has to wait
	toLog  int  // how many wrong ones there were since they were last to be logged; 0: that was less than a minute ago
}

// try counts a password that an address gave.
func (g *guesses) try(from netip.Prefix, isRight bool) guess {
	hash := fnv.New32a()
	hash.Write(from.Addr().AsSlice())
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	by := &g.by[hash.Sum32()%uint32(len(g.by))]
	switch {
	case by.paid.Sub(now) > (guessesAtOnce-1)*guessPause:
		return guess{unread: true}
	case isRight:
		return guess{right: true}
	case by.paid.Before(now):
		by.paid = now
	}
	by.paid = by.paid.Add(guessPause)
	if by.unlogged++; now.Sub(by.logged) < guessLogPause {
		return guess{}
	}
	wrong := guess{toLog: by.unlogged}
	by.unlogged, by.logged = 0, now
	return wrong
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
