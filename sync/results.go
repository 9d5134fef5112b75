package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	stdsync "sync"
	"sync/atomic"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter"
)

const (
	recordBatch = 100         // results recorded together
	recordEvery = time.Second // results wait at most this long to be recorded
)

// recordResults records results, many at a time: as soon as there are enough of them, each second, and when there are
// no more to come.
func (p *pass) recordResults(ctx context.Context, results <-chan store.Result) error {
	var pending []store.Result
	record := func(ctx context.Context) error {
		if err := p.record(ctx, pending); err != nil {
			return err
		}
		pending = pending[:0]
		return nil
	}
	ticker := time.NewTicker(recordEvery)
	defer ticker.Stop()
	var err error
	for open := true; open && err == nil; {
		var result store.Result
		select {
		case result, open = <-results:
			if open {
				pending = append(pending, result)
			}
			if open && len(pending) < recordBatch {
				continue
			}
		case <-ticker.C:
		case <-ctx.Done():
			err = ctx.Err()
			continue
		}
		err = record(ctx)
	}
	if ctx.Err() == nil {
		return err
	}
	// The pass is stopped, but work that is done is not lost.
	for len(results) > 0 {
		pending = append(pending, <-results)
	}
	return errors.Join(err, p.lastWrite(ctx, record))
}

// record records results, which releases their claims.
func (p *pass) record(ctx context.Context, results []store.Result) error {
	if len(results) == 0 {
		p.progress()
		return nil
	}
	lost, err := p.Store.RecordResults(ctx, p.run, results)
	if err != nil {
		return err
	}
	p.databaseWorks(p.partner.Name)
	if lost > 0 {
		p.log.Warn("claims lost: other workers have taken the customers over, or these have left", "customers", lost)
		p.claimsLost(lost)
	}
	for _, r := range results {
		if !r.Deferred && r.Claim.Turn == store.FirstTurn {
			p.listed++
		}
		if !r.Deferred && !r.DevicesLeft && r.Claim.Turn != store.PoliciesTurn {
			p.done++
			p.deviceLists.done(r.Claim.CustomerID)
		}
		p.more = p.more || r.DevicesLeft
	}
	p.progress()
	return nil
}

func (p *pass) claimsLost(claims int) {
	if p.OnClaimsLost != nil {
		p.OnClaimsLost(p.partner.Name, claims)
	}
}

func (p *pass) progress() {
	if p.Progress != nil {
		total := p.run.CustomersTotal
		listed, done := min(p.listed, total), min(p.done, total)
		lists, within := p.deviceLists.sum()
		p.Progress(Progress{
			Partner: p.partner.Name, Listed: listed, Done: done, Total: total, DeviceLists: lists, Within: within,
		})
	}
}

// report says how the pass ended, in one line of the log and to OnRun.
func (p *pass) report(err error) {
	p.issues.log(p.log)
	run := p.run
	if err != nil {
		p.log.Debug("pass left", "state", run.State, "err", err)
		return
	}
	level := slog.LevelInfo
	attrs := []any{
		"kind", run.Kind, "state", run.State, "customers_ok", run.CustomersOK, "customers_failed", run.CustomersFailed,
		"customers_deferred", run.CustomersDeferred,
		"inserted", run.Inserted, "changed", run.Changed, "removed", run.Removed, "unchanged", run.Unchanged,
		"requests", run.Requests, "retries", run.Retries,
	}
	if run.FinishedAt != nil {
		attrs = append(attrs, "took", run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond))
	}
	if failures := p.failures.String(); failures != "" {
		attrs = append(attrs, "failed_lists", failures)
	}
	if run.Error != nil {
		level, attrs = slog.LevelError, append(attrs, "err", *run.Error)
	}
	p.log.Log(context.Background(), level, "pass finished", attrs...)
	if p.OnRun != nil {
		p.OnRun(run)
	}
}

// dataIssues counts what could not be stored as it was received.
type dataIssues struct{ values, replaced, ids, skipped, duplicates atomic.Int64 }

func (d *dataIssues) add(l *partnercenter.Listing, alteredIDs, duplicates int) {
	d.values.Add(int64(l.Misfits))
	d.replaced.Add(int64(l.Replaced))
	d.skipped.Add(int64(l.Skipped))
	d.ids.Add(int64(alteredIDs))
	d.duplicates.Add(int64(duplicates))
}

func (d *dataIssues) log(log *slog.Logger) {
	if d.values.Load()+d.replaced.Load()+d.ids.Load()+d.skipped.Load()+d.duplicates.Load() == 0 {
		return
	}
	log.Warn("some data could not be stored as received",
		"values_kept_in_extra", d.values.Load(), "invalid_unicode_replaced", d.replaced.Load(),
		"ids_altered", d.ids.Load(), "items_without_id", d.skipped.Load(),
		"items_with_an_id_seen_before", d.duplicates.Load())
}

// failures counts the lists that failed in this process's part of a pass, by code.
type failures struct {
	mu     stdsync.Mutex
	byCode map[string]int
}

// level counts a failure, and returns the level at which to log it: of each code, the first one is a warning.
func (f *failures) level(code string) slog.Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byCode == nil {
		f.byCode = map[string]int{}
	}
	if f.byCode[code]++; f.byCode[code] > 1 {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// String returns the codes with their numbers, the most frequent first, such as "20002: 12, http_503: 1".
func (f *failures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	codes := slices.SortedFunc(maps.Keys(f.byCode), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.byCode[b], f.byCode[a]), cmp.Compare(a, b))
	})
	for i, code := range codes {
		codes[i] = fmt.Sprintf("%s: %d", code, f.byCode[code])
	}
	return strings.Join(codes, ", ")
}
