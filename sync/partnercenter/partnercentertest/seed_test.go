package partnercentertest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"partnersync/sync/partnercenter/partnercentertest"
)

// signInDirectly gets a token without a network.
func signInDirectly(tb testing.TB, e *partnercentertest.Emulator) string {
	tb.Helper()
	form := "grant_type=client_credentials&scope=https://api.partnercenter.microsoft.com/.default&client_id=" +
		partnercentertest.DefaultClientID + "&client_secret=" + partnercentertest.DefaultClientSecret
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost,
		"/"+partnercentertest.DefaultTenantID+"/oauth2/v2.0/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var reply struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(ask(e, r).Body.Bytes(), &reply); err != nil || reply.Token == "" {
		tb.Fatalf("no token: %v", err)
	}
	return reply.Token
}

// seeded is an emulator with invented customers, read without a network.
type seeded struct {
	*partnercentertest.Emulator
	token string
}

func newSeeded(t *testing.T, o partnercentertest.SeedOptions) seeded {
	t.Helper()
	e := partnercentertest.New(partnercentertest.Options{})
	e.Seed(o)
	return seeded{e, signInDirectly(t, e)}
}

func (s seeded) get(t *testing.T, path string) string {
	t.Helper()
	w := ask(s.Emulator, newRequest(t, "GET", path, nil, "Authorization", "Bearer "+s.token))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d", path, w.Code)
	}
	return w.Body.String()
}

// everything is the list of customers and each one's list of batches, by path.
func (s seeded) everything(t *testing.T) map[string]string {
	t.Helper()
	bodies := map[string]string{}
	page := s.get(t, "/v1/customers")
	bodies["/v1/customers"] = page
	for _, id := range decode[customerPage](t, page).ids() {
		path := "/v1/customers/" + id + "/deviceBatches"
		bodies[path] = s.get(t, path)
	}
	return bodies
}

func TestSeed_sameSeedSameData(t *testing.T) {
	t.Parallel()
	o := partnercentertest.SeedOptions{Customers: 3, Batches: 10, Seed: 5}
	first := newSeeded(t, o).everything(t)
	if diff := cmp.Diff(first, newSeeded(t, o).everything(t)); diff != "" {
		t.Errorf("two of one seed (-first +second):\n%s", diff)
	}
	o.Seed++
	if other := newSeeded(t, o).everything(t); cmp.Equal(first, other) {
		t.Error("another seed gave the same")
	}
}

func TestSeed_isLifelike(t *testing.T) {
	t.Parallel()
	s := newSeeded(t, partnercentertest.SeedOptions{Customers: 300, Batches: 2})
	names, ids := map[string]bool{}, map[string]bool{}
	for _, c := range decode[customerPage](t, s.get(t, "/v1/customers")).Items {
		if _, err := uuid.Parse(c.ID); err != nil {
			t.Errorf("customer id %q: %v", c.ID, err)
		}
		ids[c.ID], names[c.CompanyProfile.CompanyName] = true, true
		if domain := c.CompanyProfile.Domain; strings.ContainsAny(domain, " &'") || !strings.HasSuffix(domain, ".onmicrosoft.com") {
			t.Errorf("domain %q", domain)
		}
	}
	if len(ids) != 300 || len(names) != 300 {
		t.Errorf("%d ids and %d names of 300 customers", len(ids), len(names))
	}
}

func TestSeed_manyBatchesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newSeeded(t, partnercentertest.SeedOptions{Customers: 1, Batches: 2000})
	s.Advance(24 * time.Hour) // all of them have come
	for path, body := range s.everything(t) {
		if strings.HasSuffix(path, "/deviceBatches") && decode[batchPage](t, body).TotalCount != 2000 {
			t.Errorf("%d batches, want 2,000", decode[batchPage](t, body).TotalCount)
		}
	}
}

func TestSeed_somethingChangesInNearlyEachPassOfTheDemo(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 4, Seed: seed})
		before, changes := s.everything(t), 0
		counts := map[int]bool{}
		for range 10 {
			s.Advance(2 * time.Minute)
			now := s.everything(t)
			if !cmp.Equal(before, now) {
				changes++
			}
			before = now
			total := 0
			for path, body := range now {
				if path != "/v1/customers" {
					total += decode[batchPage](t, body).TotalCount
				}
			}
			counts[total] = true
		}
		if changes < 9 {
			t.Errorf("seed %d: something changed in %d of 10 passes, want 9", seed, changes)
		}
		if len(counts) < 3 {
			t.Errorf("seed %d: batches neither come nor go: %v", seed, counts)
		}
	}
}

func TestSeed_everyStatusIsSeen(t *testing.T) {
	t.Parallel()
	s := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 4})
	seen := map[string]bool{}
	for range 20 {
		for path, body := range s.everything(t) {
			if path == "/v1/customers" {
				continue
			}
			for _, item := range decode[batchPage](t, body).Items {
				seen[item.Status] = true
			}
		}
		s.Advance(time.Minute)
	}
	want := map[string]bool{"queued": true, "processing": true, "finished": true, "finished_with_errors": true}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
