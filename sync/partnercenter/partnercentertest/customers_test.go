package partnercentertest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

type link struct {
	URI, Method string
	Headers     []struct{ Key, Value string }
}

// customerPage is a page of customers.
type customerPage struct {
	TotalCount int
	Items      []struct {
		ID                    string
		RelationshipToPartner string
		CompanyProfile        struct{ TenantID, Domain, CompanyName string }
	}
	Links             struct{ Self, Next *link }
	ContinuationToken string
}

func (c customerPage) ids() []string {
	ids := []string{}
	for _, item := range c.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// addCustomers adds n customers with the ids c1, c2 and so on.
func (p *partner) addCustomers(n int) {
	for i := range n {
		p.AddCustomer(partnercentertest.Customer{ID: fmt.Sprintf("c%d", i+1)})
	}
}

// next requests the page after one, by its token.
func (p *partner) next(t *testing.T, path, token string) customerPage {
	t.Helper()
	_, body := p.get(t, path, "MS-ContinuationToken", token)
	return decode[customerPage](t, body)
}

func TestCustomers_bodyAsDocumented(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: fabrikam, CompanyName: "companyName", Domain: "domain"})
	_, body := p.get(t, "/v1/customers?size=40")
	want := bom + `{"totalCount":1,"items":[{"id":"` + fabrikam + `","companyProfile":{"tenantId":"` + fabrikam +
		`","domain":"domain","companyName":"companyName","attributes":{"objectType":"CustomerCompanyProfile"}},` +
		`"relationshipToPartner":"reseller","attributes":{"objectType":"Customer"}}],` +
		`"links":{"self":{"uri":"/v1/customers?size=40","method":"GET","headers":[]}},"attributes":{"objectType":"Collection"}}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestCustomers_none(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	_, body := p.get(t, "/v1/customers")
	if want := bom + `{"totalCount":0,"items":[],`; !strings.HasPrefix(body, want) {
		t.Errorf("body %q, want it to begin with %q", body, want)
	}
}

func TestCustomers_changeInPlace(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: contoso, CompanyName: "Contoso"})
	p.AddCustomer(partnercentertest.Customer{ID: fabrikam})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "kept"})
	p.AddCustomer(partnercentertest.Customer{ID: strings.ToUpper(contoso), CompanyName: "Contoso \"Old\" Bakery",
		Relationship: "none"})

	_, body := p.get(t, "/v1/customers")
	first := decode[customerPage](t, body).Items[0]
	if first.ID != strings.ToUpper(contoso) || first.CompanyProfile.CompanyName != `Contoso "Old" Bakery` ||
		first.RelationshipToPartner != "none" {
		t.Errorf("first customer is %+v", first)
	}
	if _, body := p.get(t, contosoBatches); !strings.Contains(body,
		`"/customers/`+strings.ToUpper(contoso)+`/deviceBatches/kept/devices"`) {
		t.Errorf("batches after the change: %s", body)
	}
}

func TestCustomers_removedAreUnknown(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	p.PutBatch(contoso, partnercentertest.Batch{ID: "a"})
	p.RemoveCustomer(strings.ToUpper(contoso))
	p.RemoveCustomer("never there")
	if response, _ := p.get(t, contosoBatches); response.StatusCode != 403 {
		t.Errorf("status %d for the batches of a removed customer, want 403", response.StatusCode)
	}
	p.AddCustomer(partnercentertest.Customer{ID: contoso})
	_, body := p.get(t, contosoBatches)
	if got := decode[customerPage](t, body); got.TotalCount != 0 {
		t.Errorf("%d batches of the customer anew, want none", got.TotalCount)
	}
}

func TestCustomers_pageSizes(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	p.addCustomers(501)
	tests := []struct {
		query string
		items int
		self  string
		more  bool
	}{
		{"", 500, "/v1/customers?size=500", true},
		{"?size=0", 500, "/v1/customers?size=500", true},
		{"?size=500", 500, "/v1/customers?size=500", true},
		{"?size=1000", 500, "/v1/customers?size=500", true},
		{"?size=40", 40, "/v1/customers?size=40", true},
		{"?seekOperation=First&size=1", 1, "/v1/customers?size=1", true},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			t.Parallel()
			_, body := p.get(t, "/v1/customers"+test.query)
			page := decode[customerPage](t, body)
			if len(page.Items) != test.items || page.TotalCount != test.items {
				t.Errorf("%d items, totalCount %d; want %d of both", len(page.Items), page.TotalCount, test.items)
			}
			if page.Links.Self.URI != test.self || (page.Links.Next != nil) != test.more {
				t.Errorf("links %+v", page.Links)
			}
		})
	}
}

func TestCustomers_nextLink(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options partnercentertest.Options
		uri     string
	}{
		{"versioned", partnercentertest.Options{PageSize: 2}, "/v1/customers?size=2&seekOperation=Next"},
		{"unversioned", partnercentertest.Options{PageSize: 2, UnversionedLinks: true},
			"/customers?size=2&seekOperation=Next"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPartner(t, test.options)
			p.addCustomers(3)
			_, body := p.get(t, "/v1/customers?size=500")
			first := decode[customerPage](t, body)
			if first.ContinuationToken != "" || first.Links.Next == nil {
				t.Fatalf("first page leads on by %q and %+v, want a link alone", first.ContinuationToken, first.Links.Next)
			}
			next := *first.Links.Next
			if next.URI != test.uri || next.Method != "GET" || len(next.Headers) != 1 ||
				next.Headers[0].Key != "MS-ContinuationToken" {
				t.Fatalf("next link is %+v", next)
			}
			second := p.next(t, "/v1/customers?size=2&seekOperation=Next", next.Headers[0].Value)
			if diff := cmp.Diff([]string{"c3"}, second.ids()); diff != "" {
				t.Errorf("second page (-want +got):\n%s", diff)
			}
			if second.Links.Next != nil || second.TotalCount != 1 {
				t.Errorf("the last page counts %d and leads on by %+v", second.TotalCount, second.Links.Next)
			}
		})
	}
}

func TestCustomers_tokenInTheBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		paging partnercentertest.Paging
		link   bool
	}{
		{"alone", partnercentertest.BodyToken, false},
		{"beside the link", partnercentertest.NextLinkAndToken, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPartner(t, partnercentertest.Options{PageSize: 3, Paging: test.paging})
			p.addCustomers(6)
			_, body := p.get(t, "/v1/customers")
			first := decode[customerPage](t, body)
			if (first.Links.Next != nil) != test.link {
				t.Errorf("next link is %+v", first.Links.Next)
			}
			second := p.next(t, "/v1/customers?seekoperation=next", first.ContinuationToken)
			if diff := cmp.Diff([]string{"c4", "c5", "c6"}, second.ids()); diff != "" {
				t.Errorf("second page (-want +got):\n%s", diff)
			}
			if second.ContinuationToken != "" {
				t.Errorf("the last page has the token %q", second.ContinuationToken)
			}
		})
	}
}

func TestCustomers_tokenWithoutSeekBeginsAnew(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{PageSize: 1, Paging: partnercentertest.BodyToken})
	p.addCustomers(2)
	_, body := p.get(t, "/v1/customers")
	again := p.next(t, "/v1/customers", decode[customerPage](t, body).ContinuationToken)
	if diff := cmp.Diff([]string{"c1"}, again.ids()); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestCustomers_pagesSurviveChanges(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{PageSize: 2, Paging: partnercentertest.BodyToken})
	p.addCustomers(4)
	_, body := p.get(t, "/v1/customers")
	p.RemoveCustomer("c1")
	p.RemoveCustomer("c2") // which the token names
	p.AddCustomer(partnercentertest.Customer{ID: "c5"})
	second := p.next(t, "/v1/customers?seekOperation=Next", decode[customerPage](t, body).ContinuationToken)
	if diff := cmp.Diff([]string{"c3", "c4"}, second.ids()); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
	third := p.next(t, "/v1/customers?seekOperation=Next", second.ContinuationToken)
	if diff := cmp.Diff([]string{"c5"}, third.ids()); diff != "" {
		t.Errorf("third page (-want +got):\n%s", diff)
	}
}

func TestCustomers_badRequests(t *testing.T) {
	t.Parallel()
	p := newPartner(t, partnercentertest.Options{})
	tests := []struct{ name, query, token string }{
		{"size", "size=many", ""},
		{"negative size", "size=-1", ""},
		{"next without a token", "seekOperation=Next", ""},
		{"token that is no base64", "seekOperation=Next", "?"},
		{"token of another length", "seekOperation=Next", "AQAAAAA="},
		{"unknown operation", "seekOperation=Sideways", "AQAAAA=="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, body := p.get(t, "/v1/customers?"+test.query, "MS-ContinuationToken", test.token)
			if got := decode[fault](t, body).Code; response.StatusCode != 400 || got != "800002" {
				t.Errorf("%d %s, want 400 800002", response.StatusCode, got)
			}
		})
	}
}
