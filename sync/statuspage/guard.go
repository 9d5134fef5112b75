package statuspage

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets a page load nothing but its own style sheet, script and pictures, and run nothing inline.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// withHeaders adds to every answer what keeps a browser from doing more with it than showing it.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func refuseMethod(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "only GET and HEAD: nothing can be changed here", http.StatusMethodNotAllowed)
}

// onlyLoopbackHosts refuses requests whose Host is not this machine's own name for itself. A web page elsewhere can have
// its own host name lead to 127.0.0.1, and read what is here with the browser of someone on this machine ("DNS
// rebinding"); its requests name that host.
func onlyLoopbackHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			http.Error(w, "this is only for hosts such as localhost and 127.0.0.1: ask for it by one of them, or set status_page_password_file",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackHost reads a Host header, with or without port.
func isLoopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true // browsers resolve no other address for these
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// admit lets those see the page who may.
func (s *Site) admit(loopback bool, page http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.options.Password.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.options.Password != "":
			_, password, _ := r.BasicAuth()
			// Of equal length, so that the time of the comparison tells nothing.
			got := sha256.Sum256([]byte(password))
			if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", `Basic realm="partnersync", charset="UTF-8"`)
				http.Error(w, "the status page needs the password of status_page_password_file, under any user name", http.StatusUnauthorized)
				return
			}
		case !loopback:
			http.Error(w, "the status page is not shown to other machines: listen on a loopback address, or set status_page_password_file",
				http.StatusForbidden)
			return
		}
		page.ServeHTTP(w, r)
	})
}
