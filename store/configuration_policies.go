package store

import (
	"context"
	"time"
)

// ConfigurationPolicies is the resource of a customer's policy list, as in Confirmation.
const ConfigurationPolicies = "configuration_policies"

// ConfigurationPolicy is a row of partner_center.configuration_policies.
type ConfigurationPolicy struct {
	PolicyID             string     `db:"policy_id"`
	Name                 *string    `db:"name"`
	Category             *string    `db:"category"`
	Description          *string    `db:"description"`
	DevicesAssignedCount *int32     `db:"devices_assigned_count"`
	PolicySettings       []string   `db:"policy_settings"` // sorted
	CreatedDate          *time.Time `db:"created_date"`
	LastModifiedDate     *time.Time `db:"last_modified_date"`
	Extra                string     `db:"extra"`      // a JSON object; "" is {}
	RemovedAt            *time.Time `db:"removed_at"` // nil in listed rows
}

var configurationPolicies = newResource(resource[ConfigurationPolicy]{
	table:     ConfigurationPolicies,
	versions:  "configuration_policy_versions",
	rowByRow:  true,
	inPlace:   []string{"extra", "devices_assigned_count"},
	keyColumn: "policy_id",
	key:       func(p *ConfigurationPolicy) string { return p.PolicyID },
	removedAt: func(p *ConfigurationPolicy) *time.Time { return p.RemovedAt },
	columns: []column[ConfigurationPolicy]{
		textColumn("name", func(p *ConfigurationPolicy) **string { return &p.Name }),
		textColumn("category", func(p *ConfigurationPolicy) **string { return &p.Category }),
		textColumn("description", func(p *ConfigurationPolicy) **string { return &p.Description }),
		newColumn("devices_assigned_count", "integer",
			func(p *ConfigurationPolicy) **int32 { return &p.DevicesAssignedCount }, equalPointers),
		textArrayColumn("policy_settings", func(p *ConfigurationPolicy) *[]string { return &p.PolicySettings }),
		timeColumn("created_date", func(p *ConfigurationPolicy) **time.Time { return &p.CreatedDate }),
		timeColumn("last_modified_date", func(p *ConfigurationPolicy) **time.Time { return &p.LastModifiedDate }),
		jsonColumn("extra", "{}", func(p *ConfigurationPolicy) *string { return &p.Extra }),
	},
})

// MergeConfigurationPolicies brings a customer's policies in line with a listing, as MergeDeviceBatches does with
// batches.
func (s *Store) MergeConfigurationPolicies(ctx context.Context, c Claim, l Listing, rows []ConfigurationPolicy) (
	Outcome, error,
) {
	return merge(ctx, s, configurationPolicies, c, DeviceList{}, l, rows, noteChange)
}

// CompareConfigurationPolicies says what MergeConfigurationPolicies would do, and writes nothing.
func (s *Store) CompareConfigurationPolicies(
	ctx context.Context, customerID string, l Listing, rows []ConfigurationPolicy,
) ([]Difference, error) {
	return dryRun(ctx, s, configurationPolicies, customerID, DeviceList{}, l, rows, nil)
}
