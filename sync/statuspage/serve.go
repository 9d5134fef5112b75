package statuspage

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const maxListenPause = 30 * time.Second

// ListenAndServe serves the site at host:port until ctx is done. If it cannot listen there, it says so in the log and
// tries again, since another process may still have the port.
func (s *Site) ListenAndServe(ctx context.Context, address string) {
	reason := ""
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, maxListenPause) {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err == nil {
			s.log.Info("listening", "address", listener.Addr().String())
			err = s.Serve(ctx, listener)
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != reason {
			reason = err.Error()
			s.log.Warn("listening failed, trying again; the sync goes on", "address", address, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// Serve serves the site on the listener until ctx is done, and closes it. The error is never nil.
func (s *Site) Serve(ctx context.Context, listener net.Listener) error {
	listener = newLimitedListener(listener)
	server := &http.Server{
		Handler:           s.Handler(isLoopback(listener.Addr())),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       10 * time.Second, // others may wait for the connection
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // clients' mistakes are not worth more
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	err := server.Serve(listener)
	if stop() { // ctx is not done
		server.Close()
	} else {
		<-ended
	}
	return fmt.Errorf("serving the status page at %s: %w", listener.Addr(), err)
}

// isLoopback reports whether only this machine can connect to the address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// policy lets a page load nothing but its own style sheet, script and pictures, and run nothing inline.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// withHeaders adds headers that keep a browser from doing anything with an answer but showing it.
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

// onlyLoopbackHosts refuses requests whose Host is not this machine's own name for itself. A web page elsewhere can
// have its own host name lead to 127.0.0.1, and read what is here with the browser of someone on this machine ("DNS
// rebinding"); its requests name that host.
func onlyLoopbackHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			http.Error(w, "this is only for hosts such as localhost and 127.0.0.1: "+
				"ask for it by one of them, or set status_page_password_file", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns the name in a Host header, with or without port, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopbackHost reads a Host header.
func isLoopbackHost(hostport string) bool {
	name := hostname(hostport)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true // browsers resolve these to loopback addresses only
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// proxied returns the header by which a request says that a proxy has passed it on; "": there is none.
func proxied(r *http.Request) string {
	for name := range r.Header {
		if name == "Via" || name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
			return name
		}
	}
	return ""
}

// onlyHere shows the page to this machine, if the address is one that only it can connect to. Whom a proxy here asks
// for is not known.
func onlyHere(loopback bool, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch via := proxied(r); {
		case !loopback:
			http.Error(w, "the status page is not shown to other machines: "+
				"listen on a loopback address, or set status_page_password_file", http.StatusForbidden)
		case via != "":
			http.Error(w, "the status page is not shown through a proxy, of which the header "+via+" tells: "+
				"set status_page_password_file", http.StatusForbidden)
		default:
			page.ServeHTTP(w, r)
		}
	})
}
