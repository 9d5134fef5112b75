package partnercentertest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

const contosoPolicies = "/v1/customers/" + contoso + "/policies"

// policyItem is a configuration policy.
type policyItem struct {
	ID, Name, Category, Description string
	DevicesAssigned                 int
	PolicySettings                  []string
	CreatedDate, LastModifiedDate   string
}

// policies lists Contoso's policies.
func (p *partner) policies(t *testing.T) []policyItem {
	t.Helper()
	_, body := p.get(t, contosoPolicies)
	page := decode[struct {
		TotalCount int
		Items      []policyItem
	}](t, body)
	if page.TotalCount != len(page.Items) {
		t.Errorf("totalCount %d with %d items", page.TotalCount, len(page.Items))
	}
	return page.Items
}

// assigned lists how many devices each policy has, in order.
func (p *partner) assigned(t *testing.T) []int {
	t.Helper()
	var counts []int
	for _, item := range p.policies(t) {
		counts = append(counts, item.DevicesAssigned)
	}
	return counts
}

// send sends a writing request to the API.
func (p *partner) send(t *testing.T, method, path, body string) (*http.Response, string) {
	t.Helper()
	return p.do(t, newRequest(t, method, p.server.URL+path, strings.NewReader(body),
		"Authorization", "Bearer "+p.token, "Content-Type", "application/json"))
}

func at(hour, minute, second, nanosecond int) time.Time {
	return time.Date(2017, 7, 25, hour, minute, second, nanosecond, time.FixedZone("", -7*60*60))
}

func TestPolicies_bodyAsDocumented(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	april := time.Date(2017, 4, 27, 11, 30, 34, 194_470_400, time.FixedZone("", -7*60*60))
	both := []string{"oobe_user_not_local_admin", "skip_express_settings"}
	for _, policy := range []partnercentertest.Policy{
		{ID: "8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9", Name: "Windows 10 Enterprise E3", Description: "P462017 description",
			Settings: both, Created: april},
		{ID: "56edf752-ee77-4fd8-b7f5-df1f74a3a9ac", Name: "Test policy", Description: "Test policy creation from API 1",
			Settings: []string{"skip_express_settings"}, Created: at(11, 3, 3, 845_708_800),
			LastModified: at(11, 4, 0, 815_001_600)},
		{ID: "a96b5fd9-0f3a-419a-b55c-a8aecd6b1f00", Name: "Windows 10 Enterprise E5",
			Description: "test policy creation from API",
			Settings:    both, Created: at(11, 7, 36, 150_118_400)},
	} {
		p.PutPolicy(contoso, policy)
	}
	_, body := p.get(t, contosoPolicies)
	const end = `,"attributes":{"objectType":"ConfigurationPolicy"}}`
	want := bom + `{"totalCount":3,"items":[{"id":"8c7d25aa-2dbb-409c-a1f0-f55bd9108fa9","name":"Windows 10 Enterprise E3",` +
		`"category":"o_o_b_e","description":"P462017 description","devicesAssigned":0,"policySettings":["oobe_user_not_local_admin","skip_express_settings"],` +
		`"createdDate":"2017-04-27T11:30:34.1944704-07:00","lastModifiedDate":"2017-04-27T11:30:34.1944704-07:00"` + end +
		`,{"id":"56edf752-ee77-4fd8-b7f5-df1f74a3a9ac","name":"Test policy","category":"o_o_b_e","description":"Test policy creation from API 1",` +
		`"devicesAssigned":0,"policySettings":["skip_express_settings"],"createdDate":"2017-07-25T11:03:03.8457088-07:00",` +
		`"lastModifiedDate":"2017-07-25T11:04:00.8150016-07:00"` + end +
		`,{"id":"a96b5fd9-0f3a-419a-b55c-a8aecd6b1f00","name":"Windows 10 Enterprise E5","category":"o_o_b_e","description":"test policy creation from API",` +
		`"devicesAssigned":0,"policySettings":["oobe_user_not_local_admin","skip_express_settings"],"createdDate":"2017-07-25T11:07:36.1501184-07:00",` +
		`"lastModifiedDate":"2017-07-25T11:07:36.1501184-07:00"` + end + `],"attributes":{"objectType":"Collection"}}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestPolicies_none(t *testing.T) {
	t.Parallel()
	_, body := newContoso(t).get(t, contosoPolicies)
	if want := bom + `{"totalCount":0,"items":[],"attributes":{"objectType":"Collection"}}`; body != want {
		t.Errorf("body %q, want %q", body, want)
	}
}

func TestPolicies_oneByItself(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p1", Name: "Test policy", Category: "none",
		Created: at(11, 3, 3, 845_708_800), Extra: `"a":1`})
	response, body := p.get(t, contosoPolicies+"/p1")
	want := bom + `{"id":"p1","name":"Test policy","category":"none","devicesAssigned":0,"policySettings":[],` +
		`"createdDate":"2017-07-25T11:03:03.8457116-07:00","lastModifiedDate":"2017-07-25T11:03:03.8457088-07:00",` +
		`"attributes":{"objectType":"ConfigurationPolicy"},"a":1}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body, its createdDate 2.8 µs after the list's (-want +got):\n%s", diff)
	}
	if got, has := response.Header["Content-Type"]; has {
		t.Errorf("Content-Type %q, the documented answer has none", got)
	}
}

func TestPolicies_putReplacesInPlaceAndRemoveTakesAway(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "a", Name: "first"})
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "b", Raw: `{"id":"raw"}`})
	p.Advance(time.Hour)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "a", Name: "second"})
	want := []policyItem{
		{ID: "a", Name: "second", Category: "o_o_b_e", PolicySettings: []string{},
			CreatedDate: "2026-01-05T08:00:00.0000000+00:00", LastModifiedDate: "2026-01-05T09:00:00.0000000+00:00"},
		{ID: "raw"},
	}
	if diff := cmp.Diff(want, p.policies(t)); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	p.RemovePolicy(contoso, "a")
	p.RemovePolicy(contoso, "never there")
	p.RemovePolicy(fabrikam, "b")
	if diff := cmp.Diff(want[1:], p.policies(t)); diff != "" {
		t.Errorf("policies left (-want +got):\n%s", diff)
	}
}

func TestPolicies_countTheirDevices(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p1", Name: "Default Profile"})
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p2"})
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p3", DevicesAssigned: 9})
	has := func(policy string) []partnercentertest.PolicyAssignment {
		return []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: policy}}
	}
	p.PutDevices(contoso, "Test batch",
		partnercentertest.Device{ID: "by id", Policies: has("p1")},
		partnercentertest.Device{ID: "by name", Policies: has("Default Profile")},
		partnercentertest.Device{ID: "none"},
		partnercentertest.Device{ID: "moving", Script: []partnercentertest.DeviceStep{
			{Policies: has("p1")}, {After: time.Hour, Policies: has("p2")}, {After: 2 * time.Hour, Gone: true},
		}})
	check := func(when string, want ...int) {
		t.Helper()
		if diff := cmp.Diff(want, p.assigned(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("at first", 3, 0, 9)
	p.Advance(time.Hour)
	check("one assigned anew", 2, 1, 9)
	p.Advance(time.Hour)
	check("one gone", 2, 0, 9)
	p.RemoveDevice(contoso, "Test batch", "by id")
	check("one removed", 1, 0, 9)
	p.PutBatch(contoso, partnercentertest.Batch{ID: "Test batch",
		Script: []partnercentertest.Step{{After: 24 * time.Hour}}})
	check("their batch not there", 0, 0, 9)
}

func TestPutPolicy_unknownCustomerPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	partnercentertest.New(partnercentertest.Options{}).PutPolicy(contoso, partnercentertest.Policy{ID: "p"})
}

func TestPolicyWrites_life(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	response, body := p.send(t, "POST", contosoPolicies,
		bom+`{"Name":"Test policy","Category":"o_o_b_e","Description":"from the API",`+
			`"PolicySettings":["skip_eula"],"Attributes":{"ObjectType":"ConfigurationPolicy"}}`)
	created := decode[policyItem](t, body)
	want := policyItem{
		ID: created.ID, Name: "Test policy", Category: "o_o_b_e", Description: "from the API",
		PolicySettings: []string{"skip_eula"},
		CreatedDate:    "2026-01-05T08:00:00", LastModifiedDate: "2026-01-05T08:00:00",
	}
	if diff := cmp.Diff(want, created); diff != "" || response.StatusCode != 200 || created.ID == "" {
		t.Fatalf("created with %d (-want +got):\n%s", response.StatusCode, diff)
	}

	p.Advance(time.Minute)
	response, body = p.send(t, "PUT", contosoPolicies+"/"+created.ID, `{"name":"Renamed","policySettings":[]}`)
	want.Name, want.PolicySettings, want.LastModifiedDate = "Renamed", []string{}, "2026-01-05T08:01:00"
	if diff := cmp.Diff(want, decode[policyItem](t, body)); diff != "" || response.StatusCode != 200 {
		t.Errorf("updated with %d (-want +got):\n%s", response.StatusCode, diff)
	}
	want.CreatedDate, want.LastModifiedDate = "2026-01-05T08:00:00.0000000+00:00", "2026-01-05T08:01:00.0000000+00:00"
	if diff := cmp.Diff([]policyItem{want}, p.policies(t)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}

	response, body = p.send(t, "DELETE", contosoPolicies+"/"+created.ID, "")
	if response.StatusCode != 204 || body != "" {
		t.Errorf("deleted with %d %q, want 204 and nothing", response.StatusCode, body)
	}
	if got := p.policies(t); len(got) != 0 {
		t.Errorf("policies left: %+v", got)
	}
}

func TestPolicyWrites_refused(t *testing.T) {
	t.Parallel()
	p := newContoso(t)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p1", Name: "kept"})
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no name", "POST", contosoPolicies, `{}`, 400, "3000"},
		{"no JSON", "POST", contosoPolicies, `{`, 400, "800002"},
		{"name taken away", "PUT", contosoPolicies + "/p1", `{"name":""}`, 400, "3000"},
		{"settings of another type", "PUT", contosoPolicies + "/p1", `{"name":"changed","policySettings":7}`, 400, "800002"},
		{"unknown to update", "PUT", contosoPolicies + "/P1", `{"name":"a"}`, 404, "1000"},
		{"unknown to delete", "DELETE", contosoPolicies + "/p2", ``, 404, "1000"},
		{"unknown to get", "GET", contosoPolicies + "/p2", ``, 404, "1000"},
		{"unknown customer", "POST", "/v1/customers/" + fabrikam + "/policies", `{"name":"a"}`, 403, "20002"},
		{"no such method", "PATCH", contosoPolicies + "/p1", `{}`, 405, "405"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, body := p.send(t, test.method, test.path, test.body)
			if got := decode[fault](t, body).Code; response.StatusCode != test.status || got != test.code {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, test.status, test.code)
			}
			if items := p.policies(t); len(items) != 1 || items[0].Name != "kept" {
				t.Errorf("policies are now %+v", items)
			}
		})
	}
}
