package viewtest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"partnersync/store"
	"partnersync/store/storetest"
	"partnersync/sync"
	"partnersync/sync/partnercenter"
	"partnersync/sync/partnercenter/partnercentertest"
	"partnersync/sync/passtest"
)

// world is an emulated API that changes at random, passes over it, and a database that they write.
type world struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand // of what happens
	at   *rand.Rand // of the times that are asked about, which depend on how fast the machine is
	api  *partnercentertest.Emulator
	url  string
	rec  *recorder
	pool *pgxpool.Pool

	customers []string
	owner     map[string]string // whose each customer is, by the configuration
	left      map[string]bool   // customers that are none of a reseller's any more
	batches   map[batchID]*apiBatch
	policies  map[string]map[string]partnercentertest.Policy // that the API has, by customer and id

	passes []*pass
	prunes []time.Time     // what ended before these times was pruned, one after the other
	asked  strings.Builder // all queries that were compared
	log    strings.Builder // what was done
}

// partners are two, between which customers move.
var partners = []string{"contoso", "fabrikam"}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), at: rand.New(rand.NewPCG(seed, 1)), pool: storetest.New(t).Pool,
		owner: map[string]string{}, left: map[string]bool{}, batches: map[batchID]*apiBatch{},
		policies: map[string]map[string]partnercentertest.Policy{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%sthe world was -run=TestModel -model.seed=%d", w.log.String(), seed)
		}
	})
	paging := partnercentertest.Paging(w.n(4))
	w.api = partnercentertest.New(partnercentertest.Options{DevicePageSize: w.pick(2, 4, 100), Paging: paging, LogSize: 1})
	w.rec = &recorder{Handler: w.api}
	server := httptest.NewServer(w.rec)
	t.Cleanup(server.Close)
	w.url = server.URL
	for i := range 3 + w.n(3) {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
		w.customers = append(w.customers, id)
		w.owner[id] = pickOf(w, partners...)
		w.policies[id] = map[string]partnercentertest.Policy{}
		w.rename(id)
		for range 8 {
			w.changeOf(id)
		}
	}
	return w
}

// n returns a random number below n.
func (w *world) n(n int) int { return w.rand.IntN(n) }

// pick returns one of the numbers.
func (w *world) pick(values ...int) int { return pickOf(w, values...) }

// pickOf returns one of the values.
func pickOf[T any](w *world, values ...T) T { return values[w.n(len(values))] }

// note keeps a line for whoever has to find out why the world has failed.
func (w *world) note(format string, args ...any) {
	fmt.Fprintf(&w.log, "pass %2d: %s\n", len(w.passes), fmt.Sprintf(format, args...))
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// live makes so many rounds: in each the world changes, time goes by, and the partners make a pass, or one of them. What
// is left of a customer's trouble is over after some rounds.
func (w *world) live(rounds int) {
	for round := range rounds {
		for range w.n(20) {
			w.change()
		}
		for _, id := range w.customers {
			if w.n(4) == 0 {
				w.stay(id)
				w.api.RemoveBatch(id, "nameless")
			}
		}
		w.api.Advance(time.Duration(1+w.n(100)) * time.Minute)
		if w.n(2) == 0 {
			w.move(-time.Duration(1+w.n(60*60)) * time.Minute)
		}
		names := slices.Clone(partners)
		w.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names[:1+min(1, w.n(4))] {
			w.fail()
			w.pass(name)
			w.api.ClearFaults()
		}
		if round > rounds/2 && w.n(rounds) == 0 {
			w.prune()
		}
		if round == rounds-1 || w.n(rounds) == 0 {
			w.compare()
		}
		if w.t.Failed() {
			return
		}
	}
}

// pass makes a pass of a partner, and keeps what it was served.
func (w *world) pass(partner string) {
	w.t.Helper()
	p := &pass{partner: partner, observed: map[listID]time.Time{}}
	for _, id := range w.customers {
		if w.owner[id] != partner {
			p.excluded = append(p.excluded, id)
		}
	}
	client, _ := passtest.Client(w.t, partnercenter.Options{BaseURL: w.url})
	runner := &sync.Runner{
		Store:  store.New(w.pool, store.Options{}),
		Logger: slog.New(slog.DiscardHandler),
		Partners: []sync.Partner{{
			Name: partner, Client: client, Exclude: p.excluded, Concurrency: 3,
			Policies: w.n(8) > 0, Devices: w.n(8) > 0, DevicesRefresh: time.Millisecond,
		}},
	}
	request := sync.Request{Kind: pickOf(w, store.Once, store.Once, store.Once, store.Backfill), Restart: true}
	if w.n(6) == 0 {
		p.only = w.someOf(p)
		request.Customers = p.only
	}
	p.began = w.now()
	w.rec.take()
	runs, err := runner.Once(w.t.Context(), request)
	w.ok(err)
	p.answers = w.rec.take()
	p.run, p.finished = runs[0].ID, *runs[0].FinishedAt
	w.readObserved(p)
	w.passes = append(w.passes, p)
	w.note("%s: run %d %s, only %v, %d inserted, %d changed, %d removed", partner, p.run, runs[0].State, p.only,
		runs[0].Inserted, runs[0].Changed, runs[0].Removed)
}

// prune removes what ended before a time since which about half of the passes have been made.
func (w *world) prune() {
	w.t.Helper()
	before := w.passes[w.n(len(w.passes))].began
	w.prunes = append(w.prunes, before)
	_, err := store.New(w.pool, store.Options{}).PruneVersions(w.t.Context(), store.Pruning{Before: before})
	w.ok(err)
	w.note("pruned before %s", before)
}

// someOf returns one or two customers of the pass's partner, by what is known; nil if there are none.
func (w *world) someOf(p *pass) (ids []string) {
	for id, c := range replay(w.passes).customers {
		if c.there() && c.partner() == p.partner && !slices.Contains(p.excluded, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	w.rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(len(ids), 1+w.n(2))]
}

// readObserved reads when the lists were observed that the pass has read: by the database's clock, as the histories
// have it, and so within the pass.
func (w *world) readObserved(p *pass) {
	w.t.Helper()
	const query = `
		SELECT customer_id::text, resource, batch_id, observed_at
		FROM partnersync.list_state
		WHERE observed_at >= @began
		UNION ALL
		SELECT '', 'customers', '', observed_at
		FROM partnersync.partner_state
		WHERE partner = @partner`
	kinds := map[string]string{
		"customers": "customers", "device_batches": "deviceBatches", "configuration_policies": "policies", "devices": "devices",
	}
	var id listID
	var at time.Time
	rows, _ := w.pool.Query(w.t.Context(), query, pgx.NamedArgs{"began": p.began, "partner": p.partner}) // ForEachRow returns its error
	_, err := pgx.ForEachRow(rows, []any{&id.customer, &id.kind, &id.batch, &at}, func() error {
		id.kind = kinds[id.kind]
		if at.Before(p.began) || at.After(p.finished) {
			w.t.Errorf("%+v was observed at %s, and the pass was from %s to %s", id, at, p.began, p.finished)
		}
		p.observed[id] = at.UTC()
		return nil
	})
	w.ok(err)
}

// now returns the time by the database's clock.
func (w *world) now() (now time.Time) {
	w.t.Helper()
	w.ok(w.pool.QueryRow(w.t.Context(), "SELECT clock_timestamp()").Scan(&now))
	return now.UTC()
}

// move moves every time in the database, but for those of the API, and the record with them: as if it were later.
func (w *world) move(by time.Duration) {
	w.t.Helper()
	const sql = `
		DO $$
		DECLARE
		    moved record;
		BEGIN
		    FOR moved IN
		        SELECT format('UPDATE %%I.%%I SET %%s', table_schema, table_name,
		                      string_agg(format('%%1$I = (%%1$I AT TIME ZONE ''UTC'' + interval ''%[1]s'') AT TIME ZONE ''UTC''', column_name), ', ')) AS sql
		        FROM information_schema.columns
		        JOIN information_schema.tables USING (table_schema, table_name)
		        WHERE table_schema IN ('partner_center', 'partnersync') AND table_type = 'BASE TABLE'
		          AND data_type = 'timestamp with time zone' AND column_name NOT LIKE '%%\_date'
		        GROUP BY table_schema, table_name
		    LOOP
		        EXECUTE moved.sql;
		    END LOOP;
		END $$`
	_, err := w.pool.Exec(w.t.Context(), fmt.Sprintf(sql, fmt.Sprintf("%d seconds", int64(by.Seconds()))))
	w.ok(err)
	for _, p := range w.passes {
		p.move(by)
	}
	for i := range w.prunes {
		w.prunes[i] = w.prunes[i].Add(by)
	}
	w.note("%s pass", -by)
}
