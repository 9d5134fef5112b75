package partnercentertest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SeedOptions say how much to invent.
type SeedOptions struct {
	Customers int
	Batches   int    // of each customer
	Devices   int    // of each batch at most, which has 1 to 60; 0: none, though the batches claim to have some
	Seed      uint64 // the same seed gives the same data, except for the times, which are around the emulator's now

	// Pace is the time within which something should happen, such as that between two passes. 0: two minutes
	Pace time.Duration
}

// Seed adds invented customers with two configuration policies each, and with batches. Some of these finished long
// ago, some are in progress, some are yet to come, and one in five disappears and returns. Devices are assigned
// policies while their batch is being processed, and some batches lose a device. With a dozen batches, something
// changes within nearly each of the first ten paces of the emulator's clock.
func (e *Emulator) Seed(o SeedOptions) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], o.Seed)
	pace := cmp.Or(o.Pace, 2*time.Minute)
	s := seeder{start: e.Now(), pace: pace, source: rand.NewChaCha8(key)}
	s.rand = rand.New(s.source)
	key[len(key)-1]++
	v := inventory{start: s.start, pace: pace, source: rand.NewChaCha8(key), most: o.Devices}
	v.rand = rand.New(v.source)
	for i := range o.Customers {
		c := s.customer(i)
		e.AddCustomer(c)
		policies := v.policies()
		for _, p := range policies {
			e.PutPolicy(c.ID, p)
		}
		first := s.rand.IntN(len(departments) * len(kinds))
		for j := range o.Batches {
			k := i*o.Batches + j
			b := s.batch(k, batchName(first, j))
			devices := v.devices(b, k, policies)
			if len(devices) > 0 {
				b.DevicesCount = 0
			}
			e.PutBatch(c.ID, b)
			e.PutDevices(c.ID, b.ID, devices...)
		}
	}
}

// seeder invents customers and batches.
type seeder struct {
	start  time.Time
	pace   time.Duration
	source *rand.ChaCha8
	rand   *rand.Rand // draws from source
}

func (s *seeder) customer(i int) Customer {
	id := newID(s.source)
	name := families[i%len(families)] + " " + trades[(i+i/len(families))%len(trades)]
	if round := i / (len(families) * len(trades)); round > 0 {
		name += fmt.Sprintf(" %d", round+1)
	}
	letters := strings.NewReplacer(" ", "", "&", "", "'", "", ".", "")
	return Customer{ID: id, CompanyName: name, Domain: letters.Replace(strings.ToLower(name)) + ".onmicrosoft.com"}
}

// batch invents the k-th batch of all. What happens to it depends on k alone, so that the changes are spread evenly.
func (s *seeder) batch(k int, name string) Batch {
	b := Batch{ID: name, DevicesCount: 1 + s.rand.IntN(60)}
	if s.rand.IntN(2) == 0 {
		b.CreatedBy = "relecloud.onmicrosoft.com"
	}
	withErrors := s.rand.IntN(4) == 0
	change := s.during(1 + k%7)
	switch k % 5 {
	case 0: // queued, soon to be processed
		b.Created = s.start.Add(-s.minutes(5, 60))
		b.Script = Lifecycle(change.Sub(b.Created), 5*s.pace, withErrors)
	case 1: // yet to come
		b.Created = change
		b.Script = Lifecycle(2*s.pace, 4*s.pace, withErrors)
	case 2: // disappears and returns
		b.Created = s.start.Add(-s.days(30, 300))
		b.Script = Lifecycle(10*time.Minute, time.Hour, withErrors)
		back := b.Script[2]
		back.After = change.Add(3 * s.pace).Sub(b.Created)
		b.Script = append(b.Script, Step{After: change.Sub(b.Created), Gone: true}, back)
	case 3: // being processed, with errors in the end
		worked := s.minutes(20, 90)
		b.Created = change.Add(-10*time.Minute - worked)
		b.Script = Lifecycle(10*time.Minute, worked, true)
	case 4: // finished long ago
		b.Created = s.start.Add(-s.days(2, 700))
		b.Script = Lifecycle(10*time.Minute, time.Hour, withErrors)
	}
	return b
}

// during returns a time within the n-th pace from now, away from its ends.
func (s *seeder) during(n int) time.Time {
	return s.start.Add(time.Duration(n)*s.pace - s.pace/4 - time.Duration(s.rand.Int64N(int64(s.pace/2))))
}

func (s *seeder) minutes(least, most int) time.Duration {
	return time.Duration(least+s.rand.IntN(most-least)) * time.Minute
}

func (s *seeder) days(least, most int) time.Duration {
	return 24*time.Duration(least+s.rand.IntN(most-least))*time.Hour + s.minutes(0, 600)
}

// batchName returns a customer's j-th batch name, counted from first, in the style of group tags.
func batchName(first, j int) string {
	i := first + j
	name := departments[i%len(departments)] + " " + kinds[i/len(departments)%len(kinds)]
	return fmt.Sprintf("%s %d", name, 2026+j/(len(departments)*len(kinds)))
}

var (
	families = []string{
		"Contoso", "Fabrikam", "Northwind", "Adventure Works", "Tailspin", "Wingtip", "Litware", "Proseware", "Woodgrove",
		"Alpine Ski House", "Blue Yonder", "Coho", "Fourth Coffee", "Lucerne", "Margie's", "Southridge", "Trey", "VanArsdel",
		"City Power & Light", "Munson's",
	}
	trades = []string{
		"Bakery", "Logistics", "Toys", "Dental", "Travel", "Winery", "Publishing", "Insurance", "Architects", "Pharmacy",
		"Brewery", "Motors", "Schools",
	}
	departments = []string{
		"Sales", "Warehouse", "Reception", "Accounting", "Front office", "Field staff", "Workshop", "Management", "Büro Köln",
		"Training", "Call centre",
	}
	kinds = []string{"laptops", "tablets", "desktops", "kiosks", "shared PCs"}
)

// redmond is the zone of the dates in the documentation's examples.
var redmond = time.FixedZone("", -7*60*60)

// inventory invents policies and devices. It has random numbers of its own, so that their count does not change the
// batches.
type inventory struct {
	start  time.Time
	pace   time.Duration
	source *rand.ChaCha8
	rand   *rand.Rand // draws from source
	most   int        // devices of a batch
}

// policies invents a customer's configuration policies.
func (v *inventory) policies() []Policy {
	policies := []Policy{
		{
			Name: "Standard users", Description: "No local administrators",
			Settings: []string{"oobe_user_not_local_admin", "skip_express_settings"},
		},
		{
			Name: "Shared devices", Description: "As few questions as can be",
			Settings: []string{"remove_oem_preinstalls", "skip_eula", "skip_express_settings", "skip_oem_registration"},
		},
	}
	for i := range policies {
		p := &policies[i]
		p.ID = v.id()
		p.Created = v.start.Add(-time.Duration(v.rand.Int64N(int64(365 * 24 * time.Hour)))).In(redmond)
		p.LastModified = p.Created.Add(v.start.Sub(p.Created) / 2)
	}
	return policies
}

// devices invents the devices of the k-th batch of all, as many as it claims to have up to the most there may be.
// In the last paces before the batch is finished, while its devices are still read in each pass, most of them are
// assigned a policy or another one. A batch that finished long ago loses a device.
func (v *inventory) devices(b Batch, k int, policies []Policy) []Device {
	devices := make([]Device, min(b.DevicesCount, v.most))
	end := b.Created.Add(b.Script[2].After)
	for i := range devices {
		d := v.device(b.Created)
		first, second := assignment(policies[0]), assignment(policies[1])
		assigned := DeviceStep{After: end.Add(-time.Duration(1+i%3) * v.pace).Sub(d.Uploaded), Policies: second}
		switch i % 4 {
		case 0:
			d.Script = []DeviceStep{{Policies: first}, assigned}
		case 1, 2:
			d.Script = []DeviceStep{{}, assigned}
		default: // has none
		}
		devices[i] = d
	}
	if last := len(devices) - 1; k%5 == 4 && last >= 0 {
		d := &devices[last]
		gone := v.start.Add(time.Duration(4+k%3)*v.pace - v.pace/2)
		d.Script = []DeviceStep{{Policies: assignment(policies[0])}, {After: gone.Sub(d.Uploaded), Gone: true}}
	}
	return devices
}

// device invents a device of a batch created at that time.
func (v *inventory) device(created time.Time) Device {
	maker := makers[v.rand.IntN(len(makers))]
	n := v.rand.IntN
	letter := func() int { return 'A' + n(26) }
	return Device{
		ID:                  v.id(),
		SerialNumber:        fmt.Sprintf("%c%c%d-%c%c%c%d", letter(), letter(), n(10), letter(), letter(), letter(), n(1000)),
		ProductKey:          fmt.Sprintf("00329-%05d-%05d-AA%03d", n(100_000), n(100_000), n(1000)),
		ModelName:           maker.models[n(len(maker.models))],
		OEMManufacturerName: maker.name,
		Uploaded:            created.Add(time.Duration(n(int(min(time.Second, v.pace/4))))).In(redmond),
	}
}

func (v *inventory) id() string { return newID(v.source) }

// newID returns a random GUID.
func newID(source *rand.ChaCha8) string {
	id, err := uuid.NewRandomFromReader(source)
	if err != nil {
		panic(err) // ChaCha8 never ends
	}
	return id.String()
}

// assignment returns a policy as its devices have it.
func assignment(p Policy) []PolicyAssignment {
	return []PolicyAssignment{{Key: "o_o_b_e", Value: p.ID}}
}

var makers = []struct {
	name   string
	models []string
}{
	{"Dell Inc.", []string{"Latitude 7450", "Latitude 5550", "OptiPlex 7020", "Precision 3590"}},
	{"Hewlett-Packard", []string{"HP EliteBook 840 G11", "HP ProBook 460 G11", "HP Elite Mini 800 G9"}},
	{"LENOVO", []string{"ThinkPad T14 Gen 5", "ThinkPad X1 Carbon Gen 12", "ThinkCentre M70q Gen 5"}},
	{"Microsoft Corporation", []string{"Surface Laptop 6", "Surface Pro 10", "Surface Go 4"}},
}
