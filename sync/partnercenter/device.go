package partnercenter

import (
	"cmp"
	"slices"
	"time"
)

// Device is one device of a batch, by the API documentation's "Device deployment resources". Fields that the list lacks
// are nil. Items of one listing may share what the pointers point to.
type Device struct {
	ID                  string     // as received: any text; the documentation has GUIDs and others
	SerialNumber        *string    // serialNumber
	ProductKey          *string    // productKey
	HardwareHash        *string    // hardwareHash; in none of the documentation's responses
	ModelName           *string    // modelName
	OEMManufacturerName *string    // oemManufacturerName
	UploadedBy          *string    // uploadedBy
	UploadedDate        *time.Time // UTC; nil for the service's stand-in 0001-01-01

	// Policies are ordered by key, then by value. They are empty where one of them does not fit; where one has members
	// that this version does not know, they are what is known. The whole value is in Extra either way.
	Policies []PolicyAssignment

	Extra []byte // as in DeviceBatch
}

// PolicyAssignment says which configuration policy of a category a device has.
type PolicyAssignment struct {
	Key   string  // the category, such as "o_o_b_e"
	Value *string // a policy's id or its name, for both occur; nil for no policy
}

func decodeDevice(r *items) (Device, bool) {
	var d Device
	for name := range r.members() {
		switch string(name) {
		case "id":
			d.ID = r.id()
		case "serialNumber":
			d.SerialNumber = r.string("serialNumber")
		case "productKey":
			d.ProductKey = r.string("productKey")
		case "hardwareHash":
			d.HardwareHash = r.string("hardwareHash")
		case "modelName":
			d.ModelName = r.shared("modelName")
		case "oemManufacturerName":
			d.OEMManufacturerName = r.shared("oemManufacturerName")
		case "uploadedBy":
			d.UploadedBy = r.shared("uploadedBy")
		case "uploadedDate":
			d.UploadedDate = r.time("uploadedDate")
		case "policies":
			d.Policies = decodeAssignments(r)
		default:
			r.other(name)
		}
	}
	d.Extra = r.extra()
	return d, d.ID != ""
}

func decodeAssignments(r *items) []PolicyAssignment {
	all := array(r, "policies", decodeAssignment)
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

func decodeAssignment(r *items) (PolicyAssignment, bool) {
	if r.peek() != '{' {
		return PolicyAssignment{}, false
	}
	var key, value *string
	for name := range r.members() {
		switch string(name) {
		case "key":
			key = r.shared("key")
		case "value":
			value = r.shared("value")
		default:
			r.other(name)
		}
	}
	if key == nil || len(r.misfits) > 0 {
		return PolicyAssignment{}, false
	}
	return PolicyAssignment{*key, value}, true
}
