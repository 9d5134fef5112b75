package sync

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"partnersync/store"
	"partnersync/store/cron"
)

var orderNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { return new(orderNow.Add(-d)) }

// atRest is a customer that was read so long ago, and of which nothing else is known.
func atRest(id string, unread time.Duration) store.Candidate {
	return store.Candidate{CustomerID: id, Turn: store.FirstTurn, LastSuccessAt: ago(0), ReadAt: ago(unread)}
}

func with(c store.Candidate, change func(*store.Candidate)) store.Candidate {
	change(&c)
	return c
}

func TestOrder_whoIsUrgent(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		change func(*store.Candidate)
		want   bool
	}{
		"at rest":                       {func(*store.Candidate) {}, false},
		"never read as a whole":         {func(c *store.Candidate) { c.LastSuccessAt = nil }, true},
		"a batch in motion":             {func(c *store.Candidate) { c.UnfinishedAt = ago(6 * day) }, true},
		"a batch that is stuck":         {func(c *store.Candidate) { c.UnfinishedAt = ago(8 * day) }, false},
		"changed lately":                {func(c *store.Candidate) { c.ChangedAt = ago(23 * time.Hour) }, true},
		"changed long ago":              {func(c *store.Candidate) { c.ChangedAt = ago(25 * time.Hour) }, false},
		"failed three times":            {func(c *store.Candidate) { c.Failures = 3 }, true},
		"failed four times":             {func(c *store.Candidate) { c.Failures = 4 }, false},
		"failed for long, in motion":    {func(c *store.Candidate) { c.Failures, c.UnfinishedAt = 9, ago(day) }, false},
		"failed for long, never synced": {func(c *store.Candidate) { c.Failures, c.LastSuccessAt = 9, nil }, false},
		"cut off":                       {func(c *store.Candidate) { c.Reread = true }, true},
	} {
		if got := with(atRest("a", time.Hour), tt.change).Urgent(orderNow); got != tt.want {
			t.Errorf("%s: urgent is %t, want %t", name, got, tt.want)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	urgent := func(c *store.Candidate) { c.UnfinishedAt = ago(time.Hour) }
	turn := func(turn store.Turn) func(*store.Candidate) { return func(c *store.Candidate) { c.Turn = turn } }
	many := func(prefix string, n int, change func(*store.Candidate)) (all []store.Candidate) {
		for i := range n {
			all = append(all, with(atRest(fmt.Sprintf("%s%02d", prefix, i), time.Hour), change))
		}
		return all
	}
	tests := []struct {
		name   string
		in     []store.Candidate
		budget int
		want   []queue
	}{
		{"nobody", nil, 0, nil},
		{"the longest unread first", []store.Candidate{atRest("a", time.Hour), atRest("b", 2*time.Hour),
			with(atRest("c", 0), func(c *store.Candidate) { c.ReadAt, c.Failures = nil, 9 })}, 0,
			[]queue{{store.FirstTurn, []string{"c", "b", "a"}}}},
		{"urgent ones before the others, and whom the tick cut off before them",
			[]store.Candidate{atRest("a", 9*time.Hour), with(atRest("b", time.Hour), urgent),
				with(atRest("c", 0), func(c *store.Candidate) { c.Reread = true }), with(atRest("d", 2*time.Hour), urgent)}, 0,
			[]queue{{store.FirstTurn, []string{"c", "d", "b", "a"}}}},
		{"turn by turn", []store.Candidate{with(atRest("a", 9*time.Hour), turn(store.PoliciesTurn)),
			with(atRest("b", 9*time.Hour), turn(store.DevicesTurn)), atRest("c", time.Hour)}, 0,
			[]queue{{store.FirstTurn, []string{"c"}}, {store.DevicesTurn, []string{"b"}}, {store.PoliciesTurn, []string{"a"}}}},
		{"policies that were not read for longest", []store.Candidate{
			with(atRest("a", 9*time.Hour), func(c *store.Candidate) { c.Turn, c.PoliciesAt = store.PoliciesTurn, ago(time.Hour) }),
			with(atRest("b", time.Hour), func(c *store.Candidate) { c.Turn, c.PoliciesAt = store.PoliciesTurn, ago(2*time.Hour) }),
		}, 0, []queue{{store.PoliciesTurn, []string{"b", "a"}}}},
		{"a tenth to the others, where the urgent ones need more than there is",
			slices.Concat(many("other", 3, func(*store.Candidate) {}), many("u", 12, urgent)), 11,
			[]queue{{store.FirstTurn, []string{"u00", "other00", "u01", "u02", "u03", "u04", "u05", "u06", "u07", "u08", "u09",
				"other01", "u10", "u11", "other02"}}}},
		{"not where there is enough", slices.Concat(many("other", 1, func(*store.Candidate) {}), many("u", 3, urgent)), 3,
			[]queue{{store.FirstTurn, []string{"u00", "u01", "u02", "other00"}}}},
		{"device lists count as requests", slices.Concat(many("other", 1, func(*store.Candidate) {}),
			many("u", 2, func(c *store.Candidate) { urgent(c); c.ListsDue = 30 })), 41,
			[]queue{{store.FirstTurn, []string{"u00", "other00", "u01"}}}},
	}
	for _, tt := range tests {
		got := order(slices.Clone(tt.in), orderNow, tt.budget)
		if diff := gocmp.Diff(tt.want, got, gocmp.AllowUnexported(queue{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

// In a thousand passes with random urgency, in which the urgent customers need at most half of the rate, each customer
// is read within two rounds: the time that reading all of them takes.
func TestOrder_nobodyIsStarved(t *testing.T) {
	t.Parallel()
	const customers, perPass, passes = 1000, 100, 1000
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]store.Candidate, customers)
	for i := range all {
		all[i] = store.Candidate{CustomerID: fmt.Sprintf("%04d", i), Turn: store.FirstTurn, LastSuccessAt: ago(0)}
	}
	readIn := make([]int, customers) // the pass that read the customer last
	for pass := range passes {
		now := orderNow.Add(time.Duration(pass) * 15 * time.Minute)
		for _, i := range random.Perm(customers)[:random.IntN(perPass/2+1)] {
			all[i].UnfinishedAt = new(now.Add(-store.UnfinishedUrgency + time.Minute)) // for this pass alone
		}
		for _, id := range order(slices.Clone(all), now, perPass)[0].ids[:perPass] {
			i, _ := slices.BinarySearchFunc(all, id, func(c store.Candidate, id string) int { return cmp.Compare(c.CustomerID, id) })
			all[i].ReadAt, readIn[i] = new(now), pass
		}
		for i, last := range readIn {
			if unread := pass - last; unread > 2*customers/perPass {
				t.Fatalf("customer %d was not read for %d passes, of which %d are a round", i, unread, customers/perPass)
			}
		}
	}
}

func TestPartner_Rounds(t *testing.T) {
	t.Parallel()
	schedule, err := cron.Parse("*/15 * * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	p := Partner{Schedule: schedule, RequestsPerMinute: 500}
	if got := p.Rounds(3000, orderNow); got != "" {
		t.Errorf("3,000 customers: %q, want nothing to say", got)
	}
	want := "at 500 requests a minute a round over all customers takes 41 min; urgent ones are read every 15 min"
	if got := p.Rounds(20_000, orderNow); got != want {
		t.Errorf("20,000 customers: %q, want %q", got, want)
	}
}
