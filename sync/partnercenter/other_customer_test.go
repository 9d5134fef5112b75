package partnercenter

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const otherTestCustomer = "b44bb1fb-3e5d-4d11-9f42-0e5a1b2c3d4e"

// drain counts the items of a listing before its error.
func drain[T any](list iter.Seq2[T, error]) (items int, err error) {
	for _, err := range list {
		if err != nil {
			return items, err
		}
		items++
	}
	return items, nil
}

func TestListing_answersOfAnotherCustomerAreRefused(t *testing.T) {
	t.Parallel()
	const other = "/customers/" + otherTestCustomer
	batches := func(ctx context.Context, c *Client) (int, error) {
		return drain(c.DeviceBatches(ctx, testCustomer, nil))
	}
	devices := func(ctx context.Context, c *Client) (int, error) {
		return drain(c.Devices(ctx, testCustomer, "b", nil))
	}
	policies := func(ctx context.Context, c *Client) (int, error) {
		return drain(c.ConfigurationPolicies(ctx, strings.ToUpper(testCustomer), nil))
	}
	item := func(members string) []http.HandlerFunc {
		return pages(`{"totalCount":2,"items":[{"id":"a"},{"id":"b",` + members + `},{"id":"c"}]}`)
	}
	tests := []struct {
		name    string
		list    func(context.Context, *Client) (int, error)
		answers []http.HandlerFunc
		items   int // that come before
	}{
		{"batch's devicesLink", batches,
			item(`"devicesLink":{"uri":"` + other + `/deviceBatches/Test batch/devices","method":"GET","headers":[]}`), 1},
		{"batch's self", batches, item(`"self":{"method":"GET","uri":"/v1` + other + `/deviceBatches/b"}`), 1},
		{"batch's links.self", batches, item(`"links":{"self":{"uri":"` + other + `"}}`), 1},
		{"batch's later link", batches,
			item(`"links":{"self":{"uri":"/customers/` + testCustomer + `"},"previous":{"uri":"` + other + `"}}`), 1},
		{"two links, the later one right", batches,
			item(`"devicesLink":{"uri":"` + other + `"},"self":{"uri":"/customers/` + testCustomer + `"}`), 1},
		{"item without an id", batches, pages(`{"items":[{"id":null,"devicesLink":{"uri":"` + other + `"}}]}`), 0},
		{"device", devices, item(`"links":{"self":{"uri":"` + other + `/deviceBatches/b/devices/b"}}`), 1},
		{"policy", policies, item(`"links":{"self":{"uri":"` + other + `/policies/b"}}`), 1},
		{"upper case", batches,
			item(`"devicesLink":{"uri":"/Customers/` + strings.ToUpper(otherTestCustomer) + `/x"}`), 1},
		{"full URL", batches, item(`"devicesLink" : { "uri" : "https://api.test/v1` + other + `" }`), 1},
		{"escaped slashes", batches,
			item(`"devicesLink":{"uri":"` + strings.ReplaceAll(other, "/", `\/`) + `\/deviceBatches\/b\/devices"}`), 1},
		{"page's self", batches,
			pages(`{"items":[{"id":"a"}],"links":{"self":{"uri":"` + other + `/deviceBatches"}}}`), 0},
		{"next page", devices,
			pages(`{"items":[{"id":"a"}],"links":{"next":{"uri":"` + other + `/deviceBatches/b/devices"}}}`), 0},
		{"second page", batches, pages(`{"items":[{"id":"a"}],"continuationToken":"t"}`,
			`{"items":[{"id":"b","devicesLink":{"uri":"`+other+`"}}]}`), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, tt.answers...)
			items, err := tt.list(t.Context(), a.client(t))
			e := errorOf(t, err)
			if e.ErrorCode() != "answer_of_another_customer" || !errors.Is(err, ErrOtherCustomer) || items != tt.items {
				t.Errorf("error %v after %d items", err, items)
			}
			for _, part := range []string{testCustomer, otherTestCustomer, e.RequestID, "Microsoft's support"} {
				if part == "" || !strings.Contains(e.Error(), part) {
					t.Errorf("error %v lacks %q", e, part)
				}
			}
			if n := len(a.seen(uri)); n != len(tt.answers) {
				t.Errorf("%d requests, want %d: no answer of another customer is asked for again", n, len(tt.answers))
			}
		})
	}
}

func TestListing_linksThatAreNoEvidenceAreIgnored(t *testing.T) {
	t.Parallel()
	const own = "/customers/" + testCustomer
	for _, members := range []string{
		`"devicesLink":{"uri":"` + own + `/deviceBatches/customers/` + otherTestCustomer + `/devices"}`,
		`"devicesLink":{"uri":"` + strings.ToUpper(own) + `/deviceBatches/a\"b/devices","method":"GET","headers":[]}`,
		`"devicesLink":{"uri":"/customers/contoso/deviceBatches"}`,
		`"devicesLink":{"uri":"/customers/` + uuid.Nil.String() + `/deviceBatches"}`,
		`"devicesLink":{"uri":"/partners/` + otherTestCustomer + `/customers"}`,
		`"devicesLink":{"uri":"/x?back=/customers/` + otherTestCustomer + `"}`,
		`"devicesLink":{"uri":["/customers/` + otherTestCustomer + `"]}`,
		`"devicesLink":{"uri":null,"method":"/customers/` + otherTestCustomer + `"}`,
		`"devicesLink":"\"uri\":\"/customers/` + otherTestCustomer + `\""`,
		`"links":{"self":{"headers":[{"key":"uri","value":"/customers/` + otherTestCustomer + `"}]}}`,
		`"note":{"uri":"/customers/` + otherTestCustomer + `"}`,
		`"createdBy":"/customers/` + otherTestCustomer + `"`,
		`"links":null,"self":7,"devicesLink":[]`,
	} {
		t.Run(members, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, reply(200, `{"items":[{"id":"a",`+members+`}]}`))
			ids, err := batchIDs(a.client(t).DeviceBatches(t.Context(), testCustomer, nil))
			if err != nil || len(ids) != 1 {
				t.Errorf("ids %q, error %v", ids, err)
			}
		})
	}
	a := newAPI(t, reply(200, `{"items":[{"id":"a","devicesLink":{"uri":"/customers/`+otherTestCustomer+`"}}]}`))
	if _, err := batchIDs(a.client(t).DeviceBatches(t.Context(), "contoso", nil)); err != nil {
		t.Errorf("a customer that is asked for by another name: %v", err)
	}
}
