package partnercenter

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ConfigurationPolicy says how a customer's devices are set up when they are first switched on, by the API
// documentation's "Device deployment resources". Fields that the list lacks are nil.
type ConfigurationPolicy struct {
	ID                   string // as received: any text; the documentation has GUIDs
	Name                 *string
	Category             *string // such as "o_o_b_e"
	Description          *string
	DevicesAssignedCount *int32     // devicesAssigned, else devicesAssignedCount: the documentation has both
	PolicySettings       []string   // such as "skip_eula", sorted; empty where one of them does not fit
	CreatedDate          *time.Time // UTC; nil for the service's stand-in 0001-01-01. Its sub-seconds wander
	LastModifiedDate     *time.Time // likewise

	Extra []byte // as in DeviceBatch
}

func decodeConfigurationPolicy(it *item) ConfigurationPolicy {
	var p ConfigurationPolicy
	var devicesAssigned, devicesAssignedCount *int32
	for name := range it.members() {
		switch name {
		case "id":
			p.ID = it.id()
		case "name":
			p.Name = it.text(name)
		case "category":
			p.Category = it.text(name)
		case "description":
			p.Description = it.text(name)
		case "devicesAssigned":
			devicesAssigned = it.count(name)
		case "devicesAssignedCount":
			devicesAssignedCount = it.count(name)
		case "policySettings":
			p.PolicySettings = decodeSettings(it, name)
		case "createdDate":
			p.CreatedDate = it.time(name)
		case "lastModifiedDate":
			p.LastModifiedDate = it.time(name)
		default:
			it.other(name)
		}
	}
	p.DevicesAssignedCount = cmp.Or(devicesAssigned, devicesAssignedCount)
	p.Extra = it.extra()
	return p
}

func decodeSettings(it *item, name string) []string {
	value, ok := it.known(name, '[')
	if !ok {
		return nil
	}
	var elements []jsontext.Value
	json.Unmarshal(value, &elements, lenient) // which cannot fail
	var settings []string
	for _, e := range elements {
		if e.Kind() != '"' {
			it.misfit(name, value)
			return nil
		}
		settings = append(settings, *it.unquoted(e))
	}
	slices.Sort(settings)
	return settings
}
