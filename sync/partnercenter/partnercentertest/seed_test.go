package partnercentertest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"partnersync/sync/partnercenter/partnercentertest"
)

// signInDirectly obtains a token without a network.
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

// everything returns the list of customers and each one's list of batches, by path.
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
		if domain := c.CompanyProfile.Domain; strings.ContainsAny(domain, " &'") ||
			!strings.HasSuffix(domain, ".onmicrosoft.com") {
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

// inventory returns every device, by the path of its list.
func (s seeded) inventory(t *testing.T) map[string][]deviceItem {
	t.Helper()
	devices := map[string][]deviceItem{}
	for path, body := range s.everything(t) {
		if path == "/v1/customers" {
			continue
		}
		for _, b := range decode[batchPage](t, body).Items {
			list := path + "/" + url.PathEscape(b.ID) + "/devices"
			devices[list] = decode[devicePage](t, s.get(t, list)).Items
			if len(devices[list]) != b.DevicesCount {
				t.Errorf("%s: %d devices, the batch says %d", list, len(devices[list]), b.DevicesCount)
			}
		}
	}
	return devices
}

func TestSeed_devicesDoNotChangeTheBatches(t *testing.T) {
	t.Parallel()
	without := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 10}).everything(t)
	with := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 10, Devices: 60}).everything(t)
	if diff := cmp.Diff(without, with); diff != "" {
		t.Errorf("with devices (-without +with):\n%s", diff)
	}
}

func TestSeed_sameSeedSameDevices(t *testing.T) {
	t.Parallel()
	o := partnercentertest.SeedOptions{Customers: 2, Batches: 5, Devices: 5, Seed: 3}
	if diff := cmp.Diff(newSeeded(t, o).inventory(t), newSeeded(t, o).inventory(t)); diff != "" {
		t.Errorf("two of one seed (-first +second):\n%s", diff)
	}
}

func TestSeed_devicesAreLifelike(t *testing.T) {
	t.Parallel()
	s := newSeeded(t, partnercentertest.SeedOptions{Customers: 10, Batches: 10, Devices: 30})
	ids, keys := map[string]bool{}, map[string]bool{}
	total := 0
	for path, devices := range s.inventory(t) {
		if len(devices) == 0 || len(devices) > 30 {
			t.Errorf("%s: %d devices, want 1 to 30", path, len(devices))
		}
		for _, d := range devices {
			total++
			ids[d.ID], keys[d.ProductKey] = true, true
			if uuid.Validate(d.ID) != nil || d.SerialNumber == "" || d.ModelName == "" || d.OEMManufacturerName == "" ||
				!strings.HasSuffix(d.UploadedDate, "-07:00") {
				t.Errorf("%s: device %+v", path, d)
			}
		}
	}
	if len(ids) != total || len(keys) != total {
		t.Errorf("%d ids and %d product keys of %d devices", len(ids), len(keys), total)
	}
}

func TestSeed_twoPoliciesACustomer(t *testing.T) {
	t.Parallel()
	s := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 10, Devices: 30})
	for path := range s.everything(t) {
		customer, ok := strings.CutSuffix(path, "/deviceBatches")
		if !ok {
			continue
		}
		policies := decode[struct{ Items []policyItem }](t, s.get(t, customer+"/policies")).Items
		if len(policies) != 2 || policies[0].Name == policies[1].Name || len(policies[0].PolicySettings) == 0 {
			t.Errorf("%s: policies %+v, want two", customer, policies)
		}
		for _, p := range policies {
			if p.DevicesAssigned == 0 {
				t.Errorf("%s: nobody has %s", customer, p.Name)
			}
		}
	}
}

// TestSeed_devicesChangeWhileOneWatches follows the demo: policies change in batches that are not finished yet, whose
// devices are read again, and a device disappears.
func TestSeed_devicesChangeWhileOneWatches(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		s := newSeeded(t, partnercentertest.SeedOptions{Customers: 3, Batches: 4, Devices: 20, Seed: seed})
		given, vanished, changed := 0, 0, 0
		before := s.inventory(t)
		for range 12 {
			s.Advance(2 * time.Minute)
			now := s.inventory(t)
			for path, devices := range before {
				if now[path] == nil {
					continue // the batch is gone
				}
				policies := map[string]string{}
				for _, d := range now[path] {
					policies[d.ID] = d.Policies[0].Value
				}
				for _, d := range devices {
					value, there := policies[d.ID]
					was := d.Policies[0].Value
					switch {
					case !there:
						vanished++
					case was == "" && value != "":
						given++
					case was != value:
						changed++
					}
				}
			}
			before = now
		}
		if given < 3 || changed == 0 || vanished == 0 {
			t.Errorf("seed %d: %d devices were given a policy, %d another one, %d vanished", seed, given, changed, vanished)
		}
	}
}
