package partnercentertest_test

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestAPI_paths(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	tests := []struct {
		name, method, path string
		status             int
		code               string
	}{
		{"as documented", "GET", "/v1/customers", 200, ""},
		{"batches", "GET", contosoBatches, 200, ""},
		{"other case", "GET", "/V1/CUSTOMERS/" + strings.ToUpper(contoso) + "/DeviceBatches", 200, ""},
		{"double slash", "GET", "/v1//customers", 200, ""},
		{"customers is no folder", "GET", "/v1/customers/", 404, "1000"},
		{"no version", "GET", "/customers", 404, "1000"},
		{"version twice", "GET", "/v1//v1/customers", 404, "1000"},
		{"root", "GET", "/", 404, "1000"},
		{"unknown resource", "GET", "/v1/customers/" + contoso + "/gadgets", 404, "1000"},
		{"one batch, which the API cannot give", "GET", contosoBatches + "/a", 404, "1000"},
		{"no customer", "GET", "/v1/customers//deviceBatches", 404, "1000"},
		{"escaped slash is no separator", "GET", "/v1/customers/" + contoso + "%2FdeviceBatches", 404, "1000"},
		{"unknown customer", "GET", "/v1/customers/" + fabrikam + "/deviceBatches", 403, "20002"},
		{"method", "DELETE", "/v1/customers", 405, "405"},
		{"method of a customer's list", "PUT", contosoBatches, 405, "405"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, body := p.do(t, p.request(t, test.method, test.path))
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if got := decode[fault](t, body); got.Code != test.code || test.code != "" &&
				(got.Description == "" || got.Source == "" || got.Data == nil) {
				t.Errorf("body %+v, want a fault of code %q", got, test.code)
			}
		})
	}
}

func TestAPI_unknownCustomerIsNamed(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	_, body := p.get(t, contosoBatches)
	want := bom + `{"code":"20002","description":"The partner ID ` + partnercentertest.DefaultTenantID +
		` has no commerce relationship with the customer ID ` + contoso +
		`","data":[],"source":"PartnerApiServiceControllers"}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestAPI_refusesWithoutAGoodToken(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	tests := []struct{ name, authorization, code string }{
		{"no token", "", "800001"},
		{"other scheme", "Basic " + p.token, "800001"},
		{"empty token", "Bearer ", "800001"},
		{"foreign token", "Bearer eyJ0eXAi.eyJhdWQi.c2ln", "400"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := p.request(t, "GET", "/v1/nothing/here")
			r.Header.Set("Authorization", test.authorization)
			response, body := p.do(t, r)
			if response.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d, want 401", response.StatusCode)
			}
			if got := decode[fault](t, body).Code; got != test.code {
				t.Errorf("code %q, want %q", got, test.code)
			}
			if got := response.Header.Get("WWW-Authenticate"); got != "OAuth realm=urn:cpsvc:cpid:"+partnercentertest.DefaultTenantID {
				t.Errorf("WWW-Authenticate %q", got)
			}
		})
	}
}

func TestAPI_headers(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	t.Run("echoed", func(t *testing.T) {
		t.Parallel()
		response, body := p.get(t, "/v1/customers", "MS-RequestId", "r-1", "MS-CorrelationId", "c-1", "MS-CV", "v-1.0")
		got := map[string]string{}
		for _, name := range []string{"MS-RequestId", "MS-CorrelationId", "MS-CV", "MS-ServerId", "Content-Type",
			"Content-Length"} {
			got[name] = response.Header.Get(name)
		}
		want := map[string]string{
			"MS-RequestId": "r-1", "MS-CorrelationId": "c-1", "MS-CV": "v-1.0", "MS-ServerId": "030020344",
			"Content-Type": "application/json; charset=utf-8", "Content-Length": strconv.Itoa(len(body)),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	})
	t.Run("made up", func(t *testing.T) {
		t.Parallel()
		guid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
		response, _ := p.get(t, "/v1/nothing")
		for _, name := range []string{"MS-RequestId", "MS-CorrelationId"} {
			if got := response.Header.Get(name); !guid.MatchString(got) {
				t.Errorf("%s is %q, want a GUID", name, got)
			}
		}
		if got := response.Header.Get("MS-CV"); !regexp.MustCompile(`^[A-Za-z0-9+/]{16}\.0$`).MatchString(got) {
			t.Errorf("MS-CV is %q", got)
		}
	})
}
