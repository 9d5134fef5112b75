//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// Unsupported says why this system has no private servers; "" if it has them.
const Unsupported = ""

func start(ctx context.Context, cfg Config) (*Server, error) {
	h, err := openHome(cfg.Dir)
	if err != nil {
		return nil, err
	}
	srv, err := h.start(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return srv, nil
}

func (h *home) start(ctx context.Context, cfg Config) (*Server, error) {
	pg, err := findPrograms(ctx, os.Getenv("PATH"), "/", h.version())
	if err != nil {
		return nil, err
	}
	running, err := h.claim(ctx)
	if err != nil {
		return nil, err
	}
	if running != nil {
		srv := &Server{running.socketDir, running.port, pg.psql(), func() error { return nil }}
		cfg.Logger.Info("using the running private postgresql server",
			"dir", h.dir, "look_around", srv.PsqlCommand("postgres"))
		return srv, nil
	}
	if err := h.initialize(ctx, pg); err != nil {
		return nil, err
	}
	p, at, err := h.launch(ctx, pg, cfg)
	if err != nil {
		return nil, err
	}
	go watch(p, cfg.Logger, h.log())
	srv := &Server{at.socketDir, at.port, pg.psql(), sync.OnceValue(func() error { return h.shutDown(p) })}
	cfg.Logger.Info("private postgresql server started",
		"dir", h.dir, "version", pg.version.String(), "look_around", srv.PsqlCommand("postgres"))
	return srv, nil
}

// shutDown requests a fast shutdown: clients are disconnected, and everything committed is on disk when it ends.
func (h *home) shutDown(p *process) error {
	if err := errors.Join(p.stop(), h.close()); err != nil {
		return fmt.Errorf("stopping the private PostgreSQL server: %w", err)
	}
	return nil
}

// watch logs that a server has ended without being stopped.
func watch(p *process, logger *slog.Logger, log string) {
	<-p.done
	if !p.stopping.Load() {
		logger.Error("private postgresql server ended by itself", "err", p.err, "log", log)
	}
}
