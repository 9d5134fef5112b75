package store

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// DeviceReading says which device lists a run reads.
type DeviceReading struct {
	// Refresh: after so long, and up to a quarter more, a list is read again even if nothing hints at a change.
	Refresh time.Duration
	// Since: a backfill leaves out batches created before; zero: none.
	Since time.Time
}

// DeviceList is the list of a batch's devices: the batch as it is known, and how the list was last read.
type DeviceList struct {
	CustomerID   string
	BatchID      string
	ReceivedID   []byte // for requests, where that is not the BatchID; else nil
	Status       *string
	DevicesCount *int32
	CreationDate *time.Time
	ValidFrom    time.Time // of the batch's current version
	FirstSeenAt  time.Time // valid_from of its first version
	Digest       []byte    // of the list, if its rows are exactly the current ones; else nil

	ConfirmedAt      *time.Time // when it was last read completely; nil: never
	StaleAt          *time.Time // when the last read failed or was held; nil: it was complete
	Refusals         int        // runs in a row in which the API has refused this very list
	Failing          bool       // the last read failed
	LastRun          int64      // that has read the list, or failed to; 0: none
	ReadStatus       *string    // the batch's status at the last complete read
	ReadDevicesCount *int32     // and its devices_count
}

// RequestID returns the batch's id for requests.
func (l DeviceList) RequestID() string {
	if l.ReceivedID != nil {
		return string(l.ReceivedID)
	}
	return l.BatchID
}

// lastingRefusals is how many runs in a row the API has to refuse a list to be believed. Such a list is tried once in
// refusedRefresh, and fails nobody.
const (
	lastingRefusals = 3
	refusedRefresh  = 24 * time.Hour
)

// RefusedLastingly reports whether the API has refused this very list in the last few runs that tried it.
func (l DeviceList) RefusedLastingly() bool { return l.Refusals >= lastingRefusals }

// clockTolerance is how far ahead a confirmation may lie before the list is read at once: further ahead, it has been
// left by a clock that was set back since.
const clockTolerance = time.Hour

// firstWeek is how long after it was first seen an unfinished batch's devices are read in each pass.
const firstWeek = 7 * 24 * time.Hour

// dueAt returns when the list is to be read next:
//
//   - Refused lastingly: a day after the last try.
//   - Never read completely, or changed since, or the last read failed: at once. The time is that of the batch's last
//     change or of the last failure, so that a list that keeps failing does not always go first.
//   - The batch is unfinished, and in its first week: in each pass.
//   - Else after the refresh time, spread by a hash of the ids, so that not all lists are due together.
func (l DeviceList) dueAt(refresh time.Duration, now time.Time) time.Time {
	confirmed := now // also where a clock that was set back has left a time that lies ahead
	if l.ConfirmedAt != nil && l.ConfirmedAt.Before(now) {
		confirmed = *l.ConfirmedAt
	}
	changed := !equalPointers(l.ReadStatus, l.Status) || !equalPointers(l.ReadDevicesCount, l.DevicesCount)
	switch {
	case l.RefusedLastingly() && l.StaleAt != nil:
		return l.StaleAt.Add(refusedRefresh)
	case l.ConfirmedAt == nil || l.StaleAt != nil || changed:
		if since := l.ValidFrom; l.StaleAt == nil || since.After(*l.StaleAt) {
			return earlier(since, now)
		}
		return earlier(*l.StaleAt, now)
	case !finished(l.Status) && l.FirstSeenAt.After(now.Add(-firstWeek)):
		return confirmed
	}
	return confirmed.Add(spread(refresh, l.CustomerID+l.BatchID))
}

// spread returns a refresh time and up to a quarter more, by a hash of the key, so that not all lists are due together.
func spread(refresh time.Duration, key string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(key))
	return refresh + refresh/4096*time.Duration(h.Sum32()%1024)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// finished reports whether a batch's status is terminal.
func finished(status *string) bool {
	if status == nil {
		return false
	}
	switch strings.ReplaceAll(strings.ToLower(*status), "-", "_") {
	case "finished", "finished_with_errors":
		return true
	}
	return false
}

// inMotion reports whether the batch is in no terminal status, and has changed not long ago.
func (l DeviceList) inMotion(now time.Time) bool {
	return !finished(l.Status) && l.ValidFrom.After(now.Add(-UnfinishedUrgency))
}

// dueLists returns those of a customer's device lists that a run has still to read now: those of batches in motion
// first, and then the longest due. A backfill reads all, but for batches created before its Since.
func dueLists(lists []DeviceList, run Run, now time.Time) []DeviceList {
	since, refresh := run.Devices.Since, run.Devices.Refresh
	due := slices.DeleteFunc(slices.Clone(lists), func(l DeviceList) bool {
		switch {
		case run.ID != 0 && l.LastRun == run.ID:
			return true
		case run.Kind == Backfill:
			return l.CreationDate != nil && l.CreationDate.Before(since)
		}
		ahead := l.ConfirmedAt != nil && l.ConfirmedAt.After(now.Add(clockTolerance))
		return !ahead && l.dueAt(refresh, now).After(now)
	})
	slices.SortFunc(due, func(a, b DeviceList) int {
		if a.inMotion(now) != b.inMotion(now) {
			if a.inMotion(now) {
				return -1
			}
			return 1
		}
		return cmp.Or(a.dueAt(refresh, now).Compare(b.dueAt(refresh, now)), cmp.Compare(a.BatchID, b.BatchID))
	})
	return due
}

// Urgency is how long an event makes a customer urgent.
const (
	UnfinishedUrgency = 7 * 24 * time.Hour // of a batch in no terminal status, since its last change
	ChangeUrgency     = 24 * time.Hour
	FailuresUrgency   = 3 // passes in which a customer failed
)

// Urgent reports whether something is going on at the customer, so that it is read before those at rest. The view
// sync_freshness says the same.
func (c Candidate) Urgent(now time.Time) bool {
	within := func(at *time.Time, d time.Duration) bool { return at != nil && at.After(now.Add(-d)) }
	switch {
	case c.Reread:
		return true
	case c.Failures > FailuresUrgency:
		return false
	}
	return c.LastSuccessAt == nil || c.Failures > 0 ||
		within(c.UnfinishedAt, UnfinishedUrgency) || within(c.ChangedAt, ChangeUrgency)
}
