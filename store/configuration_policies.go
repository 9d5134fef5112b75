package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// ConfigurationPolicies is the resource of a customer's policy list, as in Confirmation.
const ConfigurationPolicies = "configuration_policies"

// ConfigurationPolicy is a row of partner_center.configuration_policies, as far as it comes from the API.
type ConfigurationPolicy struct {
	PolicyID             string
	Name                 *string
	Category             *string
	Description          *string
	DevicesAssignedCount *int32
	PolicySettings       []string // sorted
	CreatedDate          *time.Time
	LastModifiedDate     *time.Time
	Extra                string // a JSON object; "" is {}
}

var configurationPolicies = newResource(resource[ConfigurationPolicy]{
	table:     ConfigurationPolicies,
	versions:  "configuration_policy_versions",
	allCounts: true,
	key:       column[ConfigurationPolicy]{name: "policy_id", typ: "text", field: texts(func(p *ConfigurationPolicy) *string { return &p.PolicyID })},
	columns: []column[ConfigurationPolicy]{
		{name: "name", typ: "text", field: texts(func(p *ConfigurationPolicy) *string { return p.Name })},
		{name: "category", typ: "text", field: texts(func(p *ConfigurationPolicy) *string { return p.Category })},
		{name: "description", typ: "text", field: texts(func(p *ConfigurationPolicy) *string { return p.Description })},
		{name: "devices_assigned_count", typ: "integer", quiet: true, field: numbers(func(p *ConfigurationPolicy) *int32 { return p.DevicesAssignedCount })},
		{name: "policy_settings", typ: "text[]", via: "text", field: texts(func(p *ConfigurationPolicy) *string { return new(arrayLiteral(p.PolicySettings)) })},
		{name: "created_date", typ: "timestamptz", field: instants(func(p *ConfigurationPolicy) *time.Time { return p.CreatedDate })},
		{name: "last_modified_date", typ: "timestamptz", field: instants(func(p *ConfigurationPolicy) *time.Time { return p.LastModifiedDate })},
		{name: "extra", typ: "jsonb", via: "text", null: "{}", quiet: true, field: texts(func(p *ConfigurationPolicy) *string { return notEmpty(&p.Extra) })},
	},
})

// arrayLiteral writes an array as PostgreSQL's text form. Arrays of arrays would be unnested all the way down, and those
// of different lengths are refused.
func arrayLiteral(values []string) string {
	if len(values) == 0 {
		return "{}"
	}
	literal, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, pgtype.TextFormatCode, values, nil)
	if err != nil {
		panic(err) // text has a text form
	}
	return string(literal)
}

// MergeConfigurationPolicies brings a customer's policies in line with a listing, as MergeDeviceBatches does with batches.
func (s *Store) MergeConfigurationPolicies(ctx context.Context, c Claim, l Listing, rows []ConfigurationPolicy) (Outcome, error) {
	return merge(ctx, s, configurationPolicies, c, Batch{}, l, rows, nil)
}

// CompareConfigurationPolicies says what MergeConfigurationPolicies would do, and writes nothing.
func (s *Store) CompareConfigurationPolicies(ctx context.Context, customerID string, l Listing, rows []ConfigurationPolicy) ([]Difference, error) {
	return compare(ctx, s, configurationPolicies, customerID, "", l, rows)
}
