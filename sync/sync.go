// Package sync brings what the Partner Center API says about a partner's customers into the database: a pass over all
// of them at each tick of a schedule, or once.
//
// One customer's way from the tick to the committed rows:
//
//  1. Runner.followSchedule waits for the partner's tick, and Runner.pass opens the tick's run, or joins it.
//  2. pass.enumerate lists the partner's customers and records them: one worker of the run does, the others wait.
//  3. pass.round puts the customers that have something left to do in an order, the urgent ones first.
//  4. pass.workThrough claims them, some tens at a time, and as many workers as the partner's concurrency says call
//     pass.syncCustomer with one claim after the other: the customer's turn.
//  5. syncList reads one list of the customer, page by page. If its digest is the known one, that is all.
//  6. Otherwise its items become rows (convert.go), and the store compares them with the current rows and commits the
//     difference in one transaction, which is fenced by the claim's epoch.
//  7. pass.recordResults records how it went, for many customers at a time, and so releases the claims.
//  8. Rounds go on until Store.FinishRun says that nothing is left, or the next tick comes; the rest is deferred.
//
// Nothing is kept here from one pass to the next, so that any number of replicas may run the same configuration.
package sync

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/sync/partnercenter"
)

// Partner is one partner, and how its customers are read.
type Partner struct {
	Name     string
	Client   *partnercenter.Client
	Schedule cron.Schedule
	// Limiter is the client's. A pass keeps it in step with those of the other replicas. nil: there is none.
	Limiter *partnercenter.Limiter
	// Tokens are the client's. While the sign-in is refused, the daemon makes no passes; nil: it makes them anyway.
	Tokens *partnercenter.TokenSource
	// Users keeps the token of the user on whose behalf the partner is read; nil: there is none.
	Users *UserTokens
	// Expiries say when what the partner signs in with expires, one function for each credential.
	Expiries []func(context.Context) (Expiry, error)
	// Customers are the ids (lower case) of the customers to read; nil: the API is asked for all of them.
	Customers   []string
	Exclude     []string // ids of customers to leave out
	Concurrency int      // customers, or device lists, read at the same time; 0: 1
	// Policies and Devices say whether configuration policies and the devices of batches are read too.
	Policies, Devices bool
	DevicesRefresh    time.Duration // after this time, the devices of an unchanged batch are read again
	RequestsPerMinute int           // the Limiter's; 0: there is no limit
}

// Runner makes passes. It must not be copied after its first use.
type Runner struct {
	Store      *store.Store
	Partners   []Partner
	RunOnStart bool          // the daemon does not wait for the first tick
	KeepRuns   time.Duration // the daemon removes runs that ended longer ago; 0: none
	Logger     *slog.Logger  // nil: discard
	// Progress, if set, is called with how far each partner's pass is, as its customers are done, and each second.
	Progress func(Progress)
	// OnRun, if set, is called at the end of each run. Calls for different partners may overlap.
	OnRun func(store.Run)
	// OnClaimsLost, if set, is called with how many of a partner's claims another worker has taken over. Calls may
	// overlap.
	OnClaimsLost func(partner string, claims int)

	clock         func() time.Time // for the schedules; nil: the Store's, which is the database's
	outages       outages
	lastHeartbeat atomic.Pointer[time.Time] // when the last heartbeat that was written was sent
	stoppedAt     atomic.Pointer[time.Time] // when the context of the work under way was done; nil: it is not
}

// Progress is how far a pass is. Each customer has a turn, and those with more device lists to be read than there are
// in a turn have further ones after all the others.
type Progress struct {
	Partner string
	Listed  int // customers that have had their first turn
	Done    int // customers with nothing left to do
	Total   int // customers

	// What this process has read of the device lists: of a large customer, that takes many turns.
	DeviceLists int
	Within      float64 // the parts, each at most 1, that are read of customers that are not done
}

func (r *Runner) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}

// partnerNames returns the names of all partners of the configuration.
func (r *Runner) partnerNames() []string {
	names := make([]string, len(r.Partners))
	for i, p := range r.Partners {
		names[i] = p.Name
	}
	return names
}

// deviceReading says which device lists a pass reads; nil: none.
func (p Partner) deviceReading(since time.Time) *store.DeviceReading {
	if !p.Devices {
		return nil
	}
	return &store.DeviceReading{Refresh: p.DevicesRefresh, Since: since}
}
