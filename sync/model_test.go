package sync

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/store/storetest"
	"partnersync/sync/partnercenter/partnercentertest"
)

// The model test makes random passes in random worlds, and checks what must hold in all of them.
var (
	soak      = flag.Bool("soak", false, "run the model test in its long form, with a thousand worlds")
	modelSeed = flag.Uint64("model.seed", 0, "make the one world of the model test that this number makes; 0: new ones")
)

// worldsAtOnce is how many worlds there are at the same time. They wait most of the time: for each other's claims, and
// before they try a request again.
const worldsAtOnce = 6

// TestModel_randomPasses leaves several workers to their passes while the API changes, fails and is slow, and while
// they are stopped, killed and frozen. Then it checks the history against what was served, the runs, the claims and
// the digests.
func TestModel_randomPasses(t *testing.T) {
	t.Parallel()
	first, worlds := rand.Uint64N(1<<40)+1, 20
	switch {
	case *modelSeed != 0:
		first, worlds = *modelSeed, 1
	case *soak:
		worlds = 1000
	}
	var g errgroup.Group
	g.SetLimit(worldsAtOnce)
	for i := range worlds {
		seed := first + uint64(i)
		g.Go(func() error {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { newModel(t, seed).live() })
			return nil
		})
	}
	g.Wait() // the tests have reported what is wrong
}

const (
	modelScope    = "https://api.partnercenter.microsoft.com/.default"
	modelBatches  = 8 // of a customer at most: more than the mass removal guard believes at once
	modelDevices  = 5 // of a batch
	modelPolicies = 3
	nameless      = "nameless" // a batch that is listed without an id, which makes the listing incomplete
)

// model is one world: an API, as two partners see it, and a database.
type model struct {
	t         *testing.T
	seed      uint64
	db        *storetest.DB
	data      *partnercentertest.Emulator // has what belongs to each customer, whoever's it is
	token     string                      // for data
	partners  []*modelPartner
	customers []string
	devices   bool // are read by the workers of this round

	changing stdsync.Mutex   // while the API's data changes
	there    map[string]bool // batches, by customer and id

	mu      stdsync.Mutex // guards what follows
	rand    *rand.Rand
	workers int // so far
	pruned  bool
	log     strings.Builder // what was done
	begun   time.Time
}

// modelPartner is the API as one partner sees it: its sign-in and its customers.
type modelPartner struct {
	name  string
	lists *partnercentertest.Emulator
	url   string

	mu        stdsync.Mutex
	customers map[string]bool
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{
		t: t, seed: seed, db: storetest.New(t), rand: rand.New(rand.NewPCG(seed, 0)), there: map[string]bool{},
		begun: time.Now(),
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Logf("%sthe world was -run=TestModel -model.seed=%d", m.log.String(), seed)
		}
	})
	paging := partnercentertest.Paging(m.n(4))
	m.data = partnercentertest.New(partnercentertest.Options{
		Timeline: true, DevicePageSize: 1 + m.n(4), Paging: paging, Speed: float64(m.n(2) * 1000), LogSize: 1,
	})
	m.token = m.signIn()
	for i := range 1 + m.n(2) {
		m.partners = append(m.partners, m.newPartner(fmt.Sprint("partner ", i), paging))
	}
	for i := range 2 + m.n(3) {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
		m.customers = append(m.customers, id)
		m.data.AddCustomer(partnercentertest.Customer{ID: id})
		m.partners[m.n(len(m.partners))].add(id)
		m.toggle(id)
		for range 4 {
			m.put(id, m.n(modelBatches))
		}
		for range 2 {
			m.changePolicy(id)
		}
	}
	return m
}

// signIn returns a token of the emulator that has the customers' data.
func (m *model) signIn() string {
	m.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {partnercentertest.DefaultClientID},
		"client_secret": {partnercentertest.DefaultClientSecret}, "scope": {modelScope},
	}
	r := httptest.NewRequest("POST", "/"+partnercentertest.DefaultTenantID+"/oauth2/v2.0/token",
		strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	m.data.ServeHTTP(answer, r)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &token); err != nil || token.AccessToken == "" {
		m.t.Fatalf("no token: %v, %s", err, answer.Body)
	}
	return token.AccessToken
}

func (m *model) newPartner(name string, paging partnercentertest.Paging) *modelPartner {
	p := &modelPartner{name: name, customers: map[string]bool{}}
	p.lists = partnercentertest.New(partnercentertest.Options{PageSize: 1 + m.n(3), Paging: paging, LogSize: 1})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.has(customerOf(r.URL)) {
			p.lists.ServeHTTP(w, r)
			return
		}
		r.Header.Set("Authorization", "Bearer "+m.token)
		m.data.ServeHTTP(w, r)
	}))
	m.t.Cleanup(server.Close)
	m.t.Cleanup(p.lists.ClearFaults)
	m.t.Cleanup(m.data.ClearFaults)
	p.url = server.URL
	return p
}

// customerOf returns the customer whose list a URL is of; "" for other URLs.
func customerOf(u *url.URL) string {
	rest, _ := strings.CutPrefix(u.Path, "/v1/customers/")
	id, _, found := strings.Cut(rest, "/")
	if !found || len(id) != 36 {
		return ""
	}
	return id
}

func (p *modelPartner) has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.customers[id]
}

func (p *modelPartner) add(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.customers[id] = true
	p.lists.AddCustomer(partnercentertest.Customer{ID: id})
}

func (p *modelPartner) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.customers, id)
	p.lists.RemoveCustomer(id)
}

// n returns a random number below n.
func (m *model) n(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rand.IntN(n)
}

// note keeps a line for whoever has to find out why the world has failed.
func (m *model) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(&m.log, "%6.3f %s\n", time.Since(m.begun).Seconds(), fmt.Sprintf(format, args...))
}

// live lets the world go on for a few rounds, of which some end with a look at everything.
func (m *model) live() {
	rounds := 2 + m.n(3)
	for round := range rounds {
		m.note("round %d", round)
		m.clearFaults() // some are for impatient workers only
		for range m.n(6) {
			m.change()
		}
		impatient := m.n(4) == 0
		m.devices = m.n(5) > 0
		for range m.n(4) {
			m.fail(impatient)
		}
		var g errgroup.Group
		for range 1 + m.n(3) {
			w := m.newWorker(impatient).withEvents()
			g.Go(func() error {
				w.work()
				return nil
			})
		}
		g.Wait()
		m.checkRuns()
		if m.t.Failed() {
			return
		}
		if round == rounds-1 || m.n(3) == 0 {
			m.settle()
		}
	}
}

// settle lets the world come to rest: nothing fails or changes, and a worker reads everything until all is well.
// Nothing is left then that a backfill would find.
func (m *model) settle() {
	m.note("settle")
	m.clearFaults()
	for _, id := range m.customers {
		m.data.RemoveBatch(id, nameless)
		if !slices.ContainsFunc(m.partners, func(p *modelPartner) bool { return p.has(id) }) {
			m.partners[0].add(id)
		}
	}
	m.quietPasses()
	m.checkRuns()
	m.checkClaims()
	m.checkHistory()
}

func (m *model) clearFaults() {
	m.data.ClearFaults()
	for _, p := range m.partners {
		p.lists.ClearFaults()
	}
}

// logger logs what a worker says into the world's own log.
func (m *model) logger(worker string) *slog.Logger {
	return slog.New(slog.NewTextHandler(modelLog{m}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.String("worker", worker)
			}
			return a
		},
	}))
}

type modelLog struct{ *model }

// Write adds a line to the world's log.
func (l modelLog) Write(line []byte) (int, error) {
	l.note("%s", strings.TrimSpace(string(line)))
	return len(line), nil
}
