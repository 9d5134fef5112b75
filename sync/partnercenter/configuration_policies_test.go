package partnercenter

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The response of the API documentation's "Get a list of a customer's policies", with the byte order mark and without
// the white space that it has there.
const documentedPolicies = "\ufeff" + `{"totalCount":3,"items":[{"id":"8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9",` +
	`"name":"Windows 10 Enterprise E3","category":"o_o_b_e","description":"P462017 description","devicesAssigned":0,` +
	`"policySettings":["oobe_user_not_local_admin","skip_express_settings"],` +
	`"createdDate":"2017-04-27T11:30:34.1944704-07:00","lastModifiedDate":"2017-04-27T11:30:34.1944704-07:00",` +
	`"attributes":{"objectType":"ConfigurationPolicy"}},{"id":"56edf752-ee77-4fd8-b7f5-df1f74a3a9ac",` +
	`"name":"Test policy","category":"o_o_b_e","description":"Test policy creation from API 1","devicesAssigned":0,` +
	`"policySettings":["skip_express_settings"],` +
	`"createdDate":"2017-07-25T11:03:03.8457088-07:00","lastModifiedDate":"2017-07-25T11:04:00.8150016-07:00",` +
	`"attributes":{"objectType":"ConfigurationPolicy"}},{"id":"a96b5fd9-0f3a-419a-b55c-a8aecd6b1f00",` +
	`"name":"Windows 10 Enterprise E5","category":"o_o_b_e","description":"test policy creation from API",` +
	`"devicesAssigned":0,"policySettings":["oobe_user_not_local_admin","skip_express_settings"],` +
	`"createdDate":"2017-07-25T11:07:36.1501184-07:00","lastModifiedDate":"2017-07-25T11:07:36.1501184-07:00",` +
	`"attributes":{"objectType":"ConfigurationPolicy"}}],"attributes":{"objectType":"Collection"}}`

func TestConfigurationPolicies_readsTheDocumentedResponse(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, documentedPolicies))
	var l Listing
	got := readAll(t, a.client(t).ConfigurationPolicies(t.Context(), testCustomer, &l))
	policy := func(id, name, description string, created, modified time.Time, settings ...string) ConfigurationPolicy {
		return ConfigurationPolicy{
			ID: id, Name: &name, Category: new("o_o_b_e"), Description: &description, DevicesAssignedCount: new(int32(0)),
			PolicySettings: settings, CreatedDate: &created, LastModifiedDate: &modified,
		}
	}
	at := func(s string) time.Time { return parsed(t, s) }
	want := []ConfigurationPolicy{
		policy("8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9", "Windows 10 Enterprise E3", "P462017 description",
			at("2017-04-27T18:30:34.1944704"), at("2017-04-27T18:30:34.1944704"), "oobe_user_not_local_admin",
			"skip_express_settings"),
		policy("56edf752-ee77-4fd8-b7f5-df1f74a3a9ac", "Test policy", "Test policy creation from API 1",
			at("2017-07-25T18:03:03.8457088"), at("2017-07-25T18:04:00.8150016"), "skip_express_settings"),
		policy("a96b5fd9-0f3a-419a-b55c-a8aecd6b1f00", "Windows 10 Enterprise E5", "test policy creation from API",
			at("2017-07-25T18:07:36.1501184"), at("2017-07-25T18:07:36.1501184"), "oobe_user_not_local_admin",
			"skip_express_settings"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/pre/fix/v1/customers/" + testCustomer + "/policies"}, a.seen(uri)); d != "" {
		t.Error(d)
	}
	if len(l.Digest) != 16 || l.Items != 3 || l.Skipped+l.Misfits+l.Replaced != 0 {
		t.Errorf("listing %+v", l)
	}
}

func TestConfigurationPolicies_sameBytesAreUnchanged(t *testing.T) {
	t.Parallel()
	a := newAPI(t, reply(200, documentedPolicies))
	c := a.client(t)
	var l Listing
	readAll(t, c.ConfigurationPolicies(t.Context(), testCustomer, &l))
	l.Known = l.Digest
	if got := readAll(t, c.ConfigurationPolicies(t.Context(), testCustomer, &l)); got != nil || !l.Unchanged ||
		!bytes.Equal(l.Digest, l.Known) {
		t.Errorf("%d policies, listing %+v", len(got), l)
	}
}

func TestConfigurationPolicies_followsPagesAndEscapesTheCustomer(t *testing.T) {
	t.Parallel()
	const path = "/pre/fix/v1/customers/a%2Fb%3F/policies"
	a := newAPI(t, pages(`{"items":[{"id":"a"}]`+linkToken("/customers/a/b?/policies", "t")+`}`, onePage)...)
	if n := len(readAll(t, a.client(t).ConfigurationPolicies(t.Context(), "a/b?", nil))); n != 2 {
		t.Errorf("%d policies", n)
	}
	if d := cmp.Diff([]string{path, path + "?size=100&seekOperation=Next"}, a.seen(uri)); d != "" {
		t.Error(d)
	}
}

func TestConfigurationPolicy_valuesThatDoNotFitGoToExtra(t *testing.T) {
	t.Parallel()
	extra := func(s string) ConfigurationPolicy { return ConfigurationPolicy{Extra: []byte(s)} }
	settings := func(s ...string) ConfigurationPolicy { return ConfigurationPolicy{PolicySettings: s} }
	assigned := func(n int32) ConfigurationPolicy { return ConfigurationPolicy{DevicesAssignedCount: &n} }
	tests := []struct {
		name, members string
		want          ConfigurationPolicy
		misfits       int
	}{
		{"dates in every style", `"createdDate":"2017-07-25T18:07:36","lastModifiedDate":"2017-04-27T11:30:34.1944704-07:00"`,
			ConfigurationPolicy{CreatedDate: new(parsed(t, "2017-07-25T18:07:36Z")),
				LastModifiedDate: new(parsed(t, "2017-04-27T18:30:34.1944704Z"))}, 0},
		{"the sentinel", `"createdDate":"0001-01-01T00:00:00","lastModifiedDate":"0001-01-01T00:00:00Z"`,
			ConfigurationPolicy{}, 0},
		{"null is absent", `"name":null,"category":null,"description":null,"devicesAssigned":null,"devicesAssignedCount":null,` +
			`"policySettings":null,"createdDate":null,"lastModifiedDate":null`, ConfigurationPolicy{}, 0},
		{"wrong types", `"name":1,"category":[],"description":{},"devicesAssigned":"1","policySettings":"skip_eula","createdDate":1,"lastModifiedDate":"soon"`,
			extra(`{"name":1,"category":[],"description":{},"devicesAssigned":"1","policySettings":"skip_eula","createdDate":1,"lastModifiedDate":"soon"}`), 7},
		{"unknown fields", `"etag":"x","allowedOperations":[]`, extra(`{"etag":"x","allowedOperations":[]}`), 0},
		{"left out", `"links":{},"self":1,"attributes":{"objectType":"ConfigurationPolicy"}`, ConfigurationPolicy{}, 0},
		{"devicesAssigned", `"devicesAssigned":5`, assigned(5), 0},
		{"devicesAssignedCount", `"devicesAssignedCount":5`, assigned(5), 0},
		{"devicesAssigned before devicesAssignedCount", `"devicesAssigned":0,"devicesAssignedCount":5`, assigned(0), 0},
		{"devicesAssignedCount for null", `"devicesAssignedCount":5,"devicesAssigned":null`, assigned(5), 0},
		{"devicesAssignedCount for a misfit", `"devicesAssigned":0.5,"devicesAssignedCount":5`,
			ConfigurationPolicy{DevicesAssignedCount: new(int32(5)), Extra: []byte(`{"devicesAssigned":0.5}`)}, 1},
		{"both misfits", `"devicesAssigned":2147483648,"devicesAssignedCount":[]`,
			extra(`{"devicesAssigned":2147483648,"devicesAssignedCount":[]}`), 2},
		{"no settings", `"policySettings":[]`, ConfigurationPolicy{}, 0},
		{"settings are sorted, equal ones kept", `"policySettings":["skip_eula","none","Skip","skip_eula"]`,
			settings("Skip", "none", "skip_eula", "skip_eula"), 0},
		{"setting of another type", `"policySettings":["skip_eula", 16]`, extra(`{"policySettings":["skip_eula",16]}`), 1},
		{"setting null", `"policySettings":[null,null]`, extra(`{"policySettings":[null,null]}`), 1},
		{"settings as flags", `"policySettings":18`, extra(`{"policySettings":18}`), 1},
		{"misfit, then settings", `"policySettings":[1],"policySettings":["none"]`, settings("none"), 0},
		{"settings, then a misfit", `"policySettings":["none"],"policySettings":[1]`, extra(`{"policySettings":[1]}`), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, l := decodeAll(t, `[{"id":"x",`+tt.members+`},{"name":5}]`, decodeConfigurationPolicy)
			tt.want.ID = "x"
			if d := cmp.Diff([]ConfigurationPolicy{tt.want}, got); d != "" {
				t.Error(d)
			}
			if l.Misfits != tt.misfits || l.Skipped != 1 {
				t.Errorf("%d misfits, want %d; %d skipped", l.Misfits, tt.misfits, l.Skipped)
			}
		})
	}
}
