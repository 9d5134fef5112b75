package partnercentertest_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"partnersync/sync/partnercenter/partnercentertest"
)

// served returns the lists of a timeline in the order of their servings.
func served(t partnercentertest.Timeline) (lists []partnercentertest.List) {
	for _, s := range t.Servings {
		lists = append(lists, s.List)
	}
	return lists
}

func TestTimeline_hasEachPageThatWasServed(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{Timeline: true, DevicePageSize: 2})
	putMany(p, 3)
	p.PutPolicy(contoso, partnercentertest.Policy{ID: "p"})
	_, batches := p.get(t, contosoBatches, "MS-CorrelationId", "one pass")
	p.get(t, "/v1/customers/"+strings.ToUpper(contoso)+"/policies")
	page := p.devices(t)
	p.devices(t, "MS-ContinuationToken", page.ContinuationToken)

	timeline := p.Timeline()
	devices := partnercentertest.List{CustomerID: contoso, Kind: partnercentertest.DeviceList, BatchID: "Test batch"}
	want := []partnercentertest.List{
		{CustomerID: contoso, Kind: partnercentertest.BatchList}, {CustomerID: contoso, Kind: partnercentertest.PolicyList},
		devices, devices,
	}
	if diff := cmp.Diff(want, served(timeline)); diff != "" {
		t.Fatalf("servings (-want +got):\n%s", diff)
	}
	first := timeline.Servings[0]
	if !bytes.Equal(first.Body, []byte(batches)) || first.CorrelationID != "one pass" {
		t.Errorf("the list of batches under %q: %s, want what was received: %s", first.CorrelationID, first.Body, batches)
	}
	if !timeline.Servings[2].First || timeline.Servings[3].First {
		t.Error("the first page of two is not distinguished from the second")
	}
	if !slices.IsSortedFunc(timeline.Servings, func(a, b partnercentertest.Serving) int { return a.At.Compare(b.At) }) {
		t.Error("the servings are not in the order of their times")
	}
}

func TestTimeline_lacksWhatDidNotArriveAsItIs(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]partnercentertest.Fault{
		"refused":  {Status: 503},
		"replaced": {Body: "{}"},
		"reset":    {Reset: true},
		"half":     {ResetBody: true},
		"edited":   {Edit: func(body []byte) []byte { return body }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestBatch(t, partnercentertest.Options{Timeline: true})
			fault.Times = 1
			p.Fail(fault)
			p.try(p.request(t, "GET", contosoBatches))
			if got := p.Timeline().Servings; len(got) != 0 {
				t.Errorf("%d servings, want none", len(got))
			}
			p.get(t, contosoBatches)
			if got := p.Timeline().Servings; len(got) != 1 {
				t.Errorf("%d servings after a proper one, want 1", len(got))
			}
		})
	}
}

func TestTimeline_hasEachChange(t *testing.T) {
	t.Parallel()
	e := partnercentertest.New(partnercentertest.Options{Timeline: true})
	e.AddCustomer(partnercentertest.Customer{ID: strings.ToUpper(contoso)})
	e.PutBatch(contoso, partnercentertest.Batch{ID: "b"})
	e.PutDevice(contoso, "b", partnercentertest.Device{ID: "d"})
	e.PutDevice(contoso, "b", partnercentertest.Device{ID: "e"})
	e.RemoveDevice(contoso, "b", "d")
	e.RemoveBatch(contoso, "b")
	e.PutPolicy(contoso, partnercentertest.Policy{ID: "p"})
	e.RemovePolicy(contoso, "p")
	var got []string
	for _, c := range e.Timeline().Changes {
		if c.CustomerID != contoso || c.Kind == partnercentertest.DeviceList != (c.BatchID == "b") || c.At.IsZero() {
			t.Errorf("change of %+v", c)
		}
		got = append(got, c.Kind+" "+c.Key)
	}
	want := []string{
		"deviceBatches b",
		"devices d", "deviceBatches b", // its number of devices
		"devices e", "deviceBatches b",
		"devices d", "deviceBatches b",
		"devices e", "deviceBatches b", // both go
		"policies p", "policies p",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestTimeline_isEmptyUnlessAskedFor(t *testing.T) {
	t.Parallel()
	p := newTestBatch(t, partnercentertest.Options{})
	p.get(t, contosoBatches)
	if got := p.Timeline(); len(got.Servings)+len(got.Changes) != 0 {
		t.Errorf("%d servings and %d changes, want none", len(got.Servings), len(got.Changes))
	}
}
