package partnercentertest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// SeedOptions says how much to invent.
type SeedOptions struct {
	Customers int
	Batches   int    // of each customer
	Devices   int    // of each batch at most, a batch having 1 to 60 of its own; 0: none, but the batches say they have
	Seed      uint64 // the same one gives the same, but for the times, which are around the emulator's now
}

// pace is the time in which something should happen: what passes between two passes of the demo.
const pace = 2 * time.Minute

// Seed adds invented customers with two configuration policies each and batches: companies of the kind that Microsoft's
// documentation is about, batches long finished, on their way, still to come, and one in five that vanishes and returns.
// Their devices get policies while the batch is worked on, and one in some batches vanishes. With a dozen batches,
// something changes in nearly each two minutes of the first twenty of the emulator's clock.
func (e *Emulator) Seed(o SeedOptions) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], o.Seed)
	s := seeder{start: e.Now(), source: rand.NewChaCha8(key)}
	s.rand = rand.New(s.source)
	key[len(key)-1]++
	v := inventory{start: s.start, source: rand.NewChaCha8(key), most: o.Devices}
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

// batch invents the k-th batch of all. What k does to it is fixed, so that the changes are spread evenly.
func (s *seeder) batch(k int, name string) Batch {
	b := Batch{ID: name, DevicesCount: 1 + s.rand.IntN(60)}
	if s.rand.IntN(2) == 0 {
		b.CreatedBy = "relecloud.onmicrosoft.com"
	}
	errors := s.rand.IntN(4) == 0
	change := s.during(1 + k%7)
	switch k % 5 {
	case 0: // queued, soon to be worked on
		b.Created = s.start.Add(-s.minutes(5, 60))
		b.Script = Lifecycle(change.Sub(b.Created), 5*pace, errors)
	case 1: // still to come
		b.Created = change
		b.Script = Lifecycle(2*pace, 4*pace, errors)
	case 2: // vanishes and returns
		b.Created = s.start.Add(-s.days(30, 300))
		b.Script = Lifecycle(10*time.Minute, time.Hour, errors)
		back := b.Script[2]
		back.After = change.Add(3 * pace).Sub(b.Created)
		b.Script = append(b.Script, Step{After: change.Sub(b.Created), Gone: true}, back)
	case 3: // being worked on, with errors in the end
		worked := s.minutes(20, 90)
		b.Created = change.Add(-10*time.Minute - worked)
		b.Script = Lifecycle(10*time.Minute, worked, true)
	case 4: // long finished
		b.Created = s.start.Add(-s.days(2, 700))
		b.Script = Lifecycle(10*time.Minute, time.Hour, errors)
	}
	return b
}

// during returns a time in the n-th pace from now, away from its edges.
func (s *seeder) during(n int) time.Time {
	return s.start.Add(time.Duration(n)*pace - pace/4 - time.Duration(s.rand.Int64N(int64(pace/2))))
}

func (s *seeder) minutes(least, most int) time.Duration {
	return time.Duration(least+s.rand.IntN(most-least)) * time.Minute
}

func (s *seeder) days(least, most int) time.Duration {
	return 24*time.Duration(least+s.rand.IntN(most-least))*time.Hour + s.minutes(0, 600)
}

// batchName returns a customer's j-th name, counted from first: as group tags are named.
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
