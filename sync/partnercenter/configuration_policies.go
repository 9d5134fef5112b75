package partnercenter

import (
	"cmp"
	"context"
	"iter"
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

// ConfigurationPolicies lists a customer's configuration policies, by the API documentation's "Get a list of a
// customer's policies". customerID is the customer's id as received; l may be nil.
func (c *Client) ConfigurationPolicies(
	ctx context.Context, customerID string, l *Listing,
) iter.Seq2[ConfigurationPolicy, error] {
	return list(ctx, c, l, customerPath(customerID)+"/policies", decodeConfigurationPolicy)
}

func decodeConfigurationPolicy(r *itemReader) ConfigurationPolicy {
	var p ConfigurationPolicy
	var devicesAssigned, devicesAssignedCount *int32
	for name := range r.members() {
		switch string(name) {
		case "id":
			p.ID = r.id()
		case "name":
			p.Name = r.text()
		case "category":
			p.Category = r.text()
		case "description":
			p.Description = r.text()
		case "devicesAssigned":
			devicesAssigned = r.count()
		case "devicesAssignedCount":
			devicesAssignedCount = r.count()
		case "policySettings":
			p.PolicySettings = decodeSettings(r)
		case "createdDate":
			p.CreatedDate = r.time()
		case "lastModifiedDate":
			p.LastModifiedDate = r.time()
		default:
			r.other()
		}
	}
	p.DevicesAssignedCount = cmp.Or(devicesAssigned, devicesAssignedCount)
	p.Extra = r.extra()
	return p
}

// decodeSettings reads policySettings: an array of strings.
func decodeSettings(r *itemReader) []string {
	value, ok := r.known('[')
	if !ok {
		return nil
	}
	var elements []jsontext.Value
	json.Unmarshal(value, &elements, lenient) // any valid array will do
	var settings []string
	for _, e := range elements {
		if e.Kind() != '"' {
			r.misfit(value)
			return nil
		}
		settings = append(settings, *r.unquoted(e))
	}
	slices.Sort(settings)
	return settings
}
