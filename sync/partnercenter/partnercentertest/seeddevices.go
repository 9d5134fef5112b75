package partnercentertest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// redmond is the zone of the dates in the documentation's examples.
var redmond = time.FixedZone("", -7*60*60)

// inventory invents policies and devices, by random numbers of its own: how many there are does not change the batches.
type inventory struct {
	start  time.Time
	source *rand.ChaCha8
	rand   *rand.Rand // draws from source
	most   int        // devices of a batch
}

// policies invents a customer's configuration policies.
func (v *inventory) policies() []Policy {
	policies := []Policy{
		{Name: "Standard users", Description: "No local administrators", Settings: []string{"oobe_user_not_local_admin", "skip_express_settings"}},
		{Name: "Shared devices", Description: "As few questions as can be", Settings: []string{"remove_oem_preinstalls", "skip_eula", "skip_express_settings", "skip_oem_registration"}},
	}
	for i := range policies {
		p := &policies[i]
		p.ID = v.id()
		p.Created = v.start.Add(-time.Duration(v.rand.Int64N(int64(365 * 24 * time.Hour)))).In(redmond)
		p.LastModified = p.Created.Add(v.start.Sub(p.Created) / 2)
	}
	return policies
}

// devices invents the devices of the k-th batch of all, as many as it says but for the most there may be. In the last
// paces before the batch is finished most of them get a policy, or another one, while those who watch still re-read the
// batch. In a batch long finished, one vanishes.
func (v *inventory) devices(b Batch, k int, policies []Policy) []Device {
	devices := make([]Device, min(b.DevicesCount, v.most))
	end := b.Created.Add(b.Script[2].After)
	for i := range devices {
		d := v.device(b.Created)
		first, second := assignment(policies[0]), assignment(policies[1])
		assigned := DeviceStep{After: end.Add(-time.Duration(1+i%3) * pace).Sub(d.Uploaded), Policies: second}
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
		gone := v.start.Add(time.Duration(4+k%3)*pace - pace/2)
		d.Script = []DeviceStep{{Policies: assignment(policies[0])}, {After: gone.Sub(d.Uploaded), Gone: true}}
	}
	return devices
}

// device invents a device of a batch created then.
func (v *inventory) device(created time.Time) Device {
	maker := makers[v.rand.IntN(len(makers))]
	n := v.rand.IntN
	return Device{
		ID:                  v.id(),
		SerialNumber:        fmt.Sprintf("%c%c%d-%c%c%c%d", 'A'+n(26), 'A'+n(26), n(10), 'A'+n(26), 'A'+n(26), 'A'+n(26), n(1000)),
		ProductKey:          fmt.Sprintf("00329-%05d-%05d-AA%03d", n(100_000), n(100_000), n(1000)),
		ModelName:           maker.models[n(len(maker.models))],
		OEMManufacturerName: maker.name,
		Uploaded:            created.Add(time.Duration(n(int(time.Second)))).In(redmond),
	}
}

func (v *inventory) id() string { return newID(v.source) }

// newID draws a GUID.
func newID(source *rand.ChaCha8) string {
	id, err := uuid.NewRandomFromReader(source)
	if err != nil {
		panic(err) // ChaCha8 never runs dry
	}
	return id.String()
}

// assignment is a policy as its devices have it.
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
