package partnercenter

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Device is one device of a batch, by the API documentation's "Device deployment resources". Fields that the list lacks
// are nil.
type Device struct {
	ID                  string     // as received: any text; the documentation has GUIDs and others
	SerialNumber        *string    // serialNumber
	ProductKey          *string    // productKey
	HardwareHash        *string    // hardwareHash; in none of the documentation's responses
	ModelName           *string    // modelName
	OEMManufacturerName *string    // oemManufacturerName
	UploadedBy          *string    // uploadedBy
	UploadedDate        *time.Time // UTC; nil for the service's stand-in 0001-01-01

	// Policies are ordered by key, then by value. They are empty where one of them does not fit. Members of a policy
	// that this version does not know are left out. In both cases the whole value is in Extra.
	Policies []PolicyAssignment

	Extra []byte // as in DeviceBatch
}

// PolicyAssignment says which configuration policy of a category a device has.
type PolicyAssignment struct {
	Key   string  // the category, such as "o_o_b_e"
	Value *string // a policy's id or its name, for both occur; nil for no policy
}

// Devices lists the devices of one of a customer's batches, by the API documentation's "Get a list of devices for the
// specified batch and customer": 100 a page. customerID and batchID are the ids as received; l may be nil.
func (c *Client) Devices(ctx context.Context, customerID, batchID string, l *Listing) iter.Seq2[Device, error] {
	path := customerPath(customerID) + "/deviceBatches/" + url.PathEscape(batchID) + "/devices"
	return list(ctx, c, l, path, decodeDevice)
}

func decodeDevice(r *itemReader) Device {
	var d Device
	for name := range r.members() {
		switch string(name) {
		case "id":
			d.ID = r.id()
		case "serialNumber":
			d.SerialNumber = r.text()
		case "productKey":
			d.ProductKey = r.text()
		case "hardwareHash":
			d.HardwareHash = r.text()
		case "modelName":
			d.ModelName = r.text()
		case "oemManufacturerName":
			d.OEMManufacturerName = r.text()
		case "uploadedBy":
			d.UploadedBy = r.text()
		case "uploadedDate":
			d.UploadedDate = r.time()
		case "policies":
			d.Policies = decodeAssignments(r)
		default:
			r.other()
		}
	}
	d.Extra = r.extra()
	return d
}

// decodeAssignments reads policies: an array of objects with a key and a value.
func decodeAssignments(r *itemReader) []PolicyAssignment {
	value, ok := r.known('[')
	if !ok {
		return nil
	}
	var elements []struct {
		Key   jsontext.Value            `json:"key"`
		Value jsontext.Value            `json:"value"`
		Other map[string]jsontext.Value `json:",embed"`
	}
	if json.Unmarshal(value, &elements, lenient) != nil {
		r.misfit(value)
		return nil
	}
	var all []PolicyAssignment
	complete := true
	for _, e := range elements {
		if e.Key.Kind() != '"' || e.Value != nil && e.Value.Kind() != '"' && e.Value.Kind() != 'n' {
			r.misfit(value)
			return nil
		}
		a := PolicyAssignment{Key: *r.unquoted(e.Key)}
		if e.Value.Kind() == '"' {
			a.Value = r.unquoted(e.Value)
		}
		all = append(all, a)
		for other := range e.Other {
			complete = complete && isLink(other)
		}
	}
	if !complete {
		r.misfit(value)
	}
	slices.SortFunc(all, func(a, b PolicyAssignment) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), compareValues(a.Value, b.Value))
	})
	return all
}

// compareValues puts nil before all others.
func compareValues(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}
