package sync

import (
	"context"
	"errors"
	"time"

	"partnersync/store"
)

const flushEvery = time.Second // results wait no longer than this to be recorded

// record writes results together: as soon as there are many, and within a second.
func (w *pass) record(ctx context.Context, in <-chan store.Result) error {
	var pending []store.Result
	flush := func(ctx context.Context) error {
		lost, err := w.Store.RecordResults(ctx, w.run, pending)
		if lost > 0 {
			w.log.Warn("customers were taken over by another worker", "customers", lost)
			w.lost(lost)
		}
		for _, r := range pending {
			if !r.AwaitsDevices {
				w.done++
			}
			if !r.OfDevices {
				w.listed++
			}
		}
		if err == nil && len(pending) > 0 {
			w.works(w.partner.Name)
		}
		pending = pending[:0]
		w.progress()
		return err
	}
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case result, open := <-in:
			if !open {
				return flush(ctx)
			}
			if pending = append(pending, result); len(pending) < claimsAtOnce {
				continue
			}
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), detached(ctx, flush)) // what is done is done
		}
		if err := flush(ctx); err != nil {
			return err
		}
	}
}

func (w *pass) lost(claims int) {
	if w.OnClaimsLost != nil {
		w.OnClaimsLost(w.partner.Name, claims)
	}
}

func (w *pass) progress() {
	if w.Progress != nil {
		total := w.run.CustomersTotal
		w.Progress(Progress{Partner: w.partner.Name, Listed: min(w.listed, total), Done: min(w.done, total), Total: total})
	}
}
