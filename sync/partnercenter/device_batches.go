package partnercenter

import (
	"cmp"
	"context"
	"iter"
	"time"
)

// DeviceBatch is a set of devices that the partner has uploaded for a customer, by the API documentation's "Device
// deployment resources". Fields that the list lacks are nil.
type DeviceBatch struct {
	ID           string     // the name chosen at the upload, as received: any text
	Status       *string    // such as "finished"; not in the documentation's table, only in its example
	CreatedBy    *string    // createdBy
	CreationDate *time.Time // UTC; nil for the service's stand-in 0001-01-01
	DevicesCount *int32     // devicesCount, else deviceCount: the documentation has both

	// Extra is a JSON object of the members that this version does not know, and of values that did not fit (of a wrong
	// type or range) under their names; nil if there are none. It holds no NUL and only valid Unicode, and numbers that
	// databases cannot hold as strings of their digits. A name that came twice is in it twice; the last counts.
	Extra []byte
}

// DeviceBatches lists a customer's device batches, by the API documentation's "Get the list of device batches for the
// specified customer". customerID is the customer's id as received; l may be nil.
func (c *Client) DeviceBatches(ctx context.Context, customerID string, l *Listing) iter.Seq2[DeviceBatch, error] {
	return list(ctx, c, l, customerPath(customerID)+"/deviceBatches", decodeDeviceBatch)
}

func decodeDeviceBatch(r *itemReader) DeviceBatch {
	var b DeviceBatch
	var devicesCount, deviceCount *int32
	for name := range r.members() {
		switch string(name) {
		case "id":
			b.ID = r.id()
		case "status":
			b.Status = r.text()
		case "createdBy":
			b.CreatedBy = r.text()
		case "creationDate":
			b.CreationDate = r.time()
		case "devicesCount":
			devicesCount = r.count()
		case "deviceCount":
			deviceCount = r.count()
		default:
			r.other()
		}
	}
	b.DevicesCount = cmp.Or(devicesCount, deviceCount)
	b.Extra = r.extra()
	return b
}
