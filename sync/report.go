package sync

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

// report tells how the pass ended: in one line of the log, and by OnRun.
func (w *pass) report(run store.Run, err error) {
	w.misfits.report(w.log)
	if err != nil {
		w.log.Debug("pass left", "state", run.State, "err", err)
		return
	}
	level := slog.LevelInfo
	attrs := []any{
		"kind", run.Kind, "state", run.State, "customers_ok", run.CustomersOK, "customers_failed", run.CustomersFailed,
		"inserted", run.Inserted, "changed", run.Changed, "removed", run.Removed, "unchanged", run.Unchanged,
		"requests", run.Requests, "retries", run.Retries,
	}
	if run.FinishedAt != nil {
		attrs = append(attrs, "took", run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond))
	}
	if run.Error != nil {
		level, attrs = slog.LevelError, append(attrs, "err", *run.Error)
	}
	w.log.Log(context.Background(), level, "pass finished", attrs...)
	if w.OnRun != nil {
		w.OnRun(run)
	}
}

// misfits counts what could not be stored as it was received.
type misfits struct{ values, replaced, ids, skipped, duplicates atomic.Int64 }

func (m *misfits) add(l *partnercenter.Listing, altered, duplicates int) {
	m.values.Add(int64(l.Misfits))
	m.replaced.Add(int64(l.Replaced))
	m.skipped.Add(int64(l.Skipped))
	m.ids.Add(int64(altered))
	m.duplicates.Add(int64(duplicates))
}

func (m *misfits) report(log *slog.Logger) {
	if m.values.Load()+m.replaced.Load()+m.ids.Load()+m.skipped.Load()+m.duplicates.Load() == 0 {
		return
	}
	log.Warn("some data could not be stored as received",
		"values_kept_in_extra", m.values.Load(), "invalid_unicode_replaced", m.replaced.Load(), "ids_altered", m.ids.Load(),
		"items_without_id", m.skipped.Load(), "items_with_an_id_seen_before", m.duplicates.Load())
}
