package partnercenter

import (
	"cmp"
	"slices"
	"time"
)

// ConfigurationPolicy says how a customer's devices are set up when they are first switched on, by the API
// documentation's "Device deployment resources". Fields that the list lacks are nil. Items of one listing may share
// what the pointers point to.
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

func decodeConfigurationPolicy(r *items) (ConfigurationPolicy, bool) {
	var p ConfigurationPolicy
	var devicesAssigned, devicesAssignedCount *int32
	for name := range r.members() {
		switch string(name) {
		case "id":
			p.ID = r.id()
		case "name":
			p.Name = r.string("name")
		case "category":
			p.Category = r.shared("category")
		case "description":
			p.Description = r.string("description")
		case "devicesAssigned":
			devicesAssigned = r.count("devicesAssigned")
		case "devicesAssignedCount":
			devicesAssignedCount = r.count("devicesAssignedCount")
		case "policySettings":
			p.PolicySettings = decodeSettings(r)
		case "createdDate":
			p.CreatedDate = r.time("createdDate")
		case "lastModifiedDate":
			p.LastModifiedDate = r.time("lastModifiedDate")
		default:
			r.other(name)
		}
	}
	p.DevicesAssignedCount = cmp.Or(devicesAssigned, devicesAssignedCount)
	p.Extra = r.extra()
	return p, p.ID != ""
}

func decodeSettings(r *items) []string {
	settings := array(r, "policySettings", func(r *items) (string, bool) {
		s := r.shared("")
		if s == nil {
			return "", false
		}
		return *s, true
	})
	slices.Sort(settings)
	return settings
}
