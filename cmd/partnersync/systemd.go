package main

import (
	"context"
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd tells the service manager, if there is one, that the daemon is ready, then that it is alive as often as
// the watchdog asks for, and that it is stopping once ctx is done. The stop that it returns ends that.
//
// Ready means that the configuration is in order: a daemon that waits for its database works as intended, and
// restarting it would only make it wait again.
func notifySystemd(ctx context.Context, log *slog.Logger) (stop func()) {
	sendState(systemd.SdNotifyReady, log)
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog is not served", "err", err)
	}
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		serveWatchdog(ctx, watchdog, stopped, log)
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

// serveWatchdog notifies the service manager until stopped is closed.
func serveWatchdog(ctx context.Context, watchdog time.Duration, stopped <-chan struct{}, log *slog.Logger) {
	var heartbeat <-chan time.Time
	if watchdog > 1 {
		ticker := time.NewTicker(watchdog / 2) // as sd_watchdog_enabled(3) recommends
		defer ticker.Stop()
		heartbeat = ticker.C
	}
	stopping := ctx.Done()
	for {
		select {
		case <-heartbeat:
			sendState(systemd.SdNotifyWatchdog, log)
		case <-stopping:
			stopping = nil
			sendState(systemd.SdNotifyStopping, log)
		case <-stopped:
			if stopping != nil { // the daemon ends by itself
				sendState(systemd.SdNotifyStopping, log)
			}
			return
		}
	}
}

func sendState(state string, log *slog.Logger) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be notified", "state", state, "err", err)
	}
}
