package sync

import stdsync "sync"

// deviceListsProgress is how far the device lists of a pass's customers are read. It is safe for concurrent use.
type deviceListsProgress struct {
	mu        stdsync.Mutex
	read      int
	customers map[string]*customerLists // those that have begun and are not done
}

// customerLists is how many of a customer's device lists are read and left.
type customerLists struct{ read, left int }

// due notes that so many of a customer's lists are left.
func (d *deviceListsProgress) due(customerID string, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.customers == nil {
		d.customers = map[string]*customerLists{}
	}
	if d.customers[customerID] == nil {
		d.customers[customerID] = &customerLists{}
	}
	d.customers[customerID].left = left
}

// wasRead notes that one of a customer's lists was read.
func (d *deviceListsProgress) wasRead(customerID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read++
	if c := d.customers[customerID]; c != nil {
		c.read++
		c.left = max(0, c.left-1)
	}
}

// done notes that no more is read of a customer.
func (d *deviceListsProgress) done(customerID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.customers, customerID)
}

// sum returns how many lists were read, and the sum of the parts that are read of the customers that are not done.
func (d *deviceListsProgress) sum() (read int, within float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.customers {
		within += float64(c.read) / float64(max(1, c.read+c.left))
	}
	return d.read, within
}
