package viewtest

import (
	"cmp"
	"reflect"
	"slices"
	"time"
)

// batch is a device batch as a version has it.
type batch struct {
	Status, CreatedBy *string
	Created           *time.Time
	DevicesCount      *int
}

// device is a device as a version has it.
type device struct {
	SerialNumber, ProductKey, Model, Manufacturer, UploadedBy *string
	Uploaded                                                  *time.Time
	Policies                                                  []assignment // ordered by key, and then by value
}

// policy is a configuration policy as a version has it.
type policy struct {
	Name, Category, Description *string
	Settings                    []string
	Created, Modified           *time.Time
}

func toBatch(i servedItem) batch {
	return batch{Status: i.Status, CreatedBy: i.CreatedBy, Created: i.CreationDate.time(), DevicesCount: i.DevicesCount}
}

func toDevice(i servedItem) device {
	d := device{
		SerialNumber: i.SerialNumber, ProductKey: i.ProductKey, Model: i.ModelName, Manufacturer: i.OEMManufacturerName,
		UploadedBy: i.UploadedBy, Uploaded: i.UploadedDate.time(), Policies: slices.Clone(i.Policies),
	}
	slices.SortFunc(d.Policies, func(a, b assignment) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(text(a.Value), text(b.Value)))
	})
	return d
}

func toPolicy(i servedItem) policy {
	p := policy{
		Name: i.Name, Category: i.Category, Description: i.Description, Settings: slices.Sorted(slices.Values(i.PolicySettings)),
		Created: i.CreatedDate.time(), Modified: i.LastModifiedDate.time(),
	}
	return p
}

// same reports whether two items are equal, so that the later one is no version of its own.
func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func (d *date) time() *time.Time {
	if d == nil {
		return nil
	}
	utc := d.UTC()
	return &utc
}

// text is a string that may be none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
