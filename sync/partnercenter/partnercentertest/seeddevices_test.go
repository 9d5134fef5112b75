package partnercentertest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"partnersync/sync/partnercenter/partnercentertest"
)

// inventory is every device that is there, by the path of its list.
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
			if uuid.Validate(d.ID) != nil || d.SerialNumber == "" || d.ModelName == "" || d.OEMManufacturerName == "" || !strings.HasSuffix(d.UploadedDate, "-07:00") {
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
// devices are re-read, and a device vanishes.
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
