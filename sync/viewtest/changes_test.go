package viewtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"partnersync/sync/partnercenter/partnercentertest"
)

// batchID is a batch of a customer.
type batchID struct{ customer, batch string }

// apiBatch is a batch that the API has, or had: one that returns has the devices that it had.
type apiBatch struct {
	gone    bool
	status  string
	devices map[string]partnercentertest.Device
}

// there returns the batches of a customer that the API has; "": of all customers.
func (w *world) there(customer string) (ids []batchID) {
	for id, b := range w.batches {
		if !b.gone && (customer == "" || id.customer == customer) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b batchID) int { return strings.Compare(a.customer+a.batch, b.customer+b.batch) })
	return ids
}

// change changes one thing that the API has.
func (w *world) change() { w.changeOf(pickOf(w, w.customers...)) }

// changeOf changes one thing that the API has of a customer.
func (w *world) changeOf(c string) {
	there := w.there(c)
	kind := w.n(32)
	if len(there) == 0 && kind >= 6 && kind <= 25 {
		kind = 0
	}
	var b batchID
	if len(there) > 0 {
		b = pickOf(w, there...)
	}
	switch kind {
	case 0, 1, 2:
		w.putBatch(batchID{c, pickOf(w, "one", "two", "three", "four/five", "Six", "six", "seven~", "eight ü")})
	case 3:
		w.api.PutBatch(c, partnercentertest.Batch{ID: "nameless", Raw: `{"status":"queued"}`})
		w.note("a nameless batch makes the list of %s incomplete", c)
	case 4, 5:
		w.api.RemoveBatch(c, "nameless")
	case 6, 7, 8:
		w.putBatch(b)
	case 9:
		w.removeBatch(b)
	case 10:
		if w.n(3) == 0 {
			for _, b := range there {
				w.removeBatch(b)
			}
		}
	case 11, 12, 13, 14, 15:
		for range 1 + w.n(4) {
			w.putDevice(b, fmt.Sprint("d", w.n(9)))
		}
	case 16, 17, 18:
		w.removeDevice(b, 1)
	case 19:
		w.removeDevice(b, 20)
	case 20, 21, 22, 23, 24, 25:
		w.moveDevice(b)
	case 26, 27:
		w.putPolicy(c)
		w.putPolicy(c)
	case 28:
		w.removePolicies(c, pickOf(w, 1, 1, 1, 2, 3))
	case 29:
		w.rename(c)
	case 30:
		w.leave(c)
	case 31:
		for _, c := range w.customers {
			w.stay(c)
		}
	}
}

// leave has a customer leave its partner, or change it.
func (w *world) leave(customer string) {
	switch w.n(3) {
	case 0:
		w.left[customer] = true
		w.rename(customer)
	case 1:
		w.owner[customer] = ""
	case 2:
		w.owner[customer] = pickOf(w, partners...)
	}
	w.note("%s belongs to %q", customer, w.owner[customer])
}

// stay has a customer return that has left.
func (w *world) stay(customer string) {
	if w.left[customer] {
		w.left[customer] = false
		w.rename(customer)
	}
	if w.owner[customer] == "" {
		w.owner[customer] = pickOf(w, partners...)
		w.note("%s belongs to %q", customer, w.owner[customer])
	}
}

// putBatch puts a batch, or changes its status; one that was removed returns.
func (w *world) putBatch(id batchID) {
	b := w.batches[id]
	if b == nil {
		b = &apiBatch{devices: map[string]partnercentertest.Device{}}
		w.batches[id] = b
	}
	if !b.gone || w.n(2) == 0 {
		b.status = pickOf(w, "queued", "processing", "processing", "finished", "finished", "Finished-With-Errors",
			"finished_with_errors", "FINISHED", "reticulating", "")
	}
	w.api.PutBatch(id.customer, partnercentertest.Batch{ID: id.batch, Status: b.status, CreatedBy: "ada@contoso.com"})
	if b.gone {
		b.gone = false
		for _, key := range slices.Sorted(maps.Keys(b.devices)) {
			w.api.PutDevice(id.customer, id.batch, b.devices[key])
		}
	}
	w.note("%v is %q", id, b.status)
}

func (w *world) removeBatch(id batchID) {
	w.batches[id].gone = true
	w.api.RemoveBatch(id.customer, id.batch)
	w.note("%v is removed", id)
}

// putDevice adds a device, or changes one.
func (w *world) putDevice(id batchID, key string) {
	d := partnercentertest.Device{
		ID: key,
		SerialNumber: pickOf(w,
			"", "", " ", "sn-1", "SN-1", " sn-1 ", "sn-2", "Sn-3", "sn-4", "sn-5", "sn-6", "sn-7", "sn-8"),
		ProductKey: pickOf(w, "", "key"), ModelName: pickOf(w, "Surface", "Latitude"), OEMManufacturerName: pickOf(w, "", "Dell"),
		UploadedBy: "ada@contoso.com", Policies: w.assignments(id.customer),
	}
	if old, known := w.batches[id].devices[key]; known {
		d.Uploaded = old.Uploaded
		if w.n(4) > 0 {
			d.SerialNumber = old.SerialNumber
		}
	}
	w.put(id, d)
}

// put has the API list a device.
func (w *world) put(id batchID, d partnercentertest.Device) {
	d.Uploaded = w.api.Now().UTC()
	w.batches[id].devices[d.ID] = d
	w.api.PutDevice(id.customer, id.batch, d)
	w.note("%v has %q, serial number %q, policies %v", id, d.ID, d.SerialNumber, d.Policies)
}

// assignments are the policies of a device: by their ids in any case, by their names, or by what matches none.
func (w *world) assignments(customer string) (all []partnercentertest.PolicyAssignment) {
	for range w.n(4) {
		all = append(all, partnercentertest.PolicyAssignment{
			Key: pickOf(w, "o_o_b_e", "o_o_b_e", "kiosk"),
			Value: pickOf(w,
				"", "Kiosk", "Office", "unknown", policyIDs[0], strings.ToUpper(policyIDs[0]), policyIDs[1], policyIDs[2]),
		})
	}
	return all
}

// removeDevice removes so many devices of a batch, at most.
func (w *world) removeDevice(id batchID, n int) {
	for _, key := range slices.Sorted(maps.Keys(w.batches[id].devices)) {
		if n--; n >= 0 {
			w.api.RemoveDevice(id.customer, id.batch, key)
			delete(w.batches[id].devices, key)
			w.note("%v loses %q", id, key)
		}
	}
}

// moveDevice moves a device to any batch: it has the same serial number there, and another id or the same.
func (w *world) moveDevice(from batchID) {
	keys := slices.Sorted(maps.Keys(w.batches[from].devices))
	to := pickOf(w, w.there("")...)
	if len(keys) == 0 || to == from {
		return
	}
	d := w.batches[from].devices[pickOf(w, keys...)]
	if w.n(5) > 0 {
		w.api.RemoveDevice(from.customer, from.batch, d.ID)
		delete(w.batches[from].devices, d.ID)
		w.note("%v loses %q", from, d.ID)
	}
	if w.n(3) == 0 {
		d.SerialNumber = pickOf(w, strings.ToUpper(d.SerialNumber), " "+d.SerialNumber, d.SerialNumber)
	}
	if strings.TrimSpace(d.SerialNumber) != "" && w.n(3) > 0 {
		d.ID = fmt.Sprint("m", w.n(20))
	}
	w.put(to, d)
}

// policyIDs are the ids of policies, the same ones for all customers.
var policyIDs = []string{
	"aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002", "cccccccc-0000-4000-8000-000000000003",
}

func (w *world) putPolicy(customer string) {
	p := partnercentertest.Policy{
		ID: pickOf(w, policyIDs...), Name: pickOf(w, "Kiosk", "Kiosk", "Office", "kiosk", "Standard, EU"),
		Settings: []string{"skip_eula"},
	}
	w.api.PutPolicy(customer, p)
	w.policies[customer][p.ID] = p
	w.note("%s has policy %s, %q", customer, p.ID, p.Name)
}

// removePolicies removes so many policies of a customer.
func (w *world) removePolicies(customer string, n int) {
	ids := slices.Sorted(maps.Keys(w.policies[customer]))
	w.rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		if n--; n >= 0 {
			w.api.RemovePolicy(customer, id)
			delete(w.policies[customer], id)
			w.note("%s loses policy %s", customer, id)
		}
	}
}

// rename gives a customer a name, and the relationship that it has.
func (w *world) rename(customer string) {
	c := partnercentertest.Customer{
		ID: customer, CompanyName: pickOf(w, "Relecloud", "Tailspin Toys", "Wingtip"),
		Domain: pickOf(w, "a.example", "b.example"),
	}
	if w.left[customer] {
		c.Relationship = "none"
	}
	w.api.AddCustomer(c)
	w.note("%s is %q, %s", customer, c.CompanyName, c.Relationship)
}

// fail may make requests of the next pass fail.
func (w *world) fail() {
	for range w.n(3) {
		f := pickOf(w,
			partnercentertest.Fault{Status: 403, Path: "/deviceBatches$"},
			partnercentertest.Fault{Status: 400, Path: "/deviceBatches$"},
			partnercentertest.Fault{Status: 400, Path: "/policies$"},
			partnercentertest.Fault{Status: 400, Path: "/devices$", Skip: 1 + w.n(5)},
			partnercentertest.Fault{Status: 400, Path: "/customers$"},
		)
		if f.Path != "/customers$" {
			f.Path = pickOf(w, w.customers...) + ".*" + f.Path
		}
		f.Times = 1
		if w.n(100) == 0 {
			f.Status, f.Times = 503, pickOf(w, 1, 4) // four times: no attempt succeeds
		}
		w.api.Fail(f)
		w.note("fault %+v", f)
	}
}
