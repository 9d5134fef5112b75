package statuspage

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const maxListenPause = 30 * time.Second

// ListenAndServe serves the site at host:port until ctx is done. An address that cannot be listened on is logged, and
// tried again: another process may have it still.
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
	server := &http.Server{
		Handler:           s.Handler(isLoopback(listener.Addr())),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what clients do wrong is no news
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

// isLoopback tells whether only this machine can connect to the address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
