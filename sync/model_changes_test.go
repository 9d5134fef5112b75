package sync

import (
	"fmt"
	"time"

	"partnersync/store"
	"partnersync/sync/partnercenter/partnercentertest"
)

func modelBatchID(i int) string { return fmt.Sprint("batch ", i) }

// pick returns one of the values.
func pick[T any](m *model, values ...T) T { return values[m.n(len(values))] }

// change changes one thing that the API has, of any customer.
func (m *model) change() { m.changeOf(pick(m, m.customers...)) }

// changeOf changes one thing that the API has, of a customer or around it.
func (m *model) changeOf(id string) {
	m.changing.Lock()
	defer m.changing.Unlock()
	batch := modelBatchID(m.n(modelBatches))
	device := fmt.Sprint("device ", m.n(modelDevices))
	switch m.n(20) {
	case 0, 1, 2, 3, 4:
		m.put(id, m.n(modelBatches))
	case 5:
		m.removeBatch(id, batch)
	case 6, 7, 8:
		if m.there[id+batch] {
			m.putDevice(id, batch, device)
		}
	case 9:
		m.data.RemoveDevice(id, batch, device)
	case 10:
		m.changePolicy(id)
	case 11:
		m.data.RemovePolicy(id, fmt.Sprint("policy ", m.n(modelPolicies)))
	case 12:
		m.removeMany(id, batch)
	case 13:
		m.data.PutBatch(id, partnercentertest.Batch{ID: nameless, Raw: `{"status":"queued"}`})
	case 14:
		m.data.RemoveBatch(id, nameless)
	case 15:
		m.moveCustomer(id)
	default:
		m.toggle(id)
	}
}

// put puts a batch, or changes one, and may give a new one some devices.
func (m *model) put(id string, i int) {
	batch := modelBatchID(i)
	m.data.PutBatch(id, partnercentertest.Batch{
		ID: batch, DevicesCount: pick(m, 0, 0, 3),
		Status: pick(m, "queued", "processing", "finished", "finished", "finished_with_errors", "odd"),
	})
	if !m.there[id+batch] {
		m.there[id+batch] = true
		for i := range m.n(modelDevices) {
			m.putDevice(id, batch, fmt.Sprint("device ", i))
		}
	}
}

// toggle removes a batch, or lets it return as it was, with the same devices: its device list has the digest that it had.
func (m *model) toggle(id string) {
	const batch = "comes and goes"
	if m.there[id+batch] {
		m.removeBatch(id, batch)
		return
	}
	m.there[id+batch] = true
	m.data.PutBatch(id, partnercentertest.Batch{ID: batch, Status: "finished"})
	uploaded := time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
	m.data.PutDevices(id, batch, partnercentertest.Device{ID: "one", Uploaded: uploaded},
		partnercentertest.Device{ID: "two", Uploaded: uploaded})
}

func (m *model) putDevice(id, batch, device string) {
	m.data.PutDevice(id, batch, partnercentertest.Device{
		ID: device, SerialNumber: pick(m, "one", "two"),
		Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: pick(m, "policy 0", "policy 1")}},
	})
}

func (m *model) removeBatch(id, batch string) {
	delete(m.there, id+batch)
	m.data.RemoveBatch(id, batch)
}

func (m *model) changePolicy(id string) {
	m.data.PutPolicy(id, partnercentertest.Policy{
		ID: fmt.Sprint("policy ", m.n(modelPolicies)), Name: pick(m, "Kiosk", "Office"), Settings: []string{"skip_eula"},
	})
}

// removeMany removes so much at once that the mass removal guard may not believe it, or all devices of a batch.
func (m *model) removeMany(id, batch string) {
	switch m.n(3) {
	case 0:
		for i := m.n(3); i < modelBatches; i++ {
			m.removeBatch(id, modelBatchID(i))
		}
	case 1:
		for i := range modelPolicies {
			m.data.RemovePolicy(id, fmt.Sprint("policy ", i))
		}
	case 2:
		for i := range modelDevices {
			m.data.RemoveDevice(id, batch, fmt.Sprint("device ", i))
		}
	}
}

// moveCustomer makes a partner lose the customer, or get it.
func (m *model) moveCustomer(id string) {
	p := pick(m, m.partners...)
	if p.has(id) {
		m.note("%s loses %s", p.name, id)
		p.remove(id)
		return
	}
	m.note("%s gets %s", p.name, id)
	p.add(id)
}

// fail makes some requests fail. Those that get no answer are for clients that do not wait long.
func (m *model) fail(impatient bool) {
	f := pick(m,
		partnercentertest.Fault{Status: 400},
		partnercentertest.Fault{Status: 401},
		partnercentertest.Fault{Status: 403},
		partnercentertest.Fault{Status: 404},
		partnercentertest.Fault{Status: 429, RetryAfter: "1"},
		partnercentertest.Fault{Status: 503},
		partnercentertest.Fault{Reset: true},
		partnercentertest.Fault{ResetBody: true},
		partnercentertest.Fault{Hang: true},
	)
	if f.Hang && !impatient {
		f = partnercentertest.Fault{Status: 400}
	}
	f.Path = pick(m, "/deviceBatches$", "/policies$", "/devices$", "/devices$", "/customers$", "/customers$", "/token$")
	f.Skip, f.Times = m.n(6), 1+m.n(2)
	m.note("fault %+v", f)
	p := pick(m, m.partners...)
	p.lists.Fail(f)
	m.data.Fail(f)
}

// prune removes old versions, and old runs with their counts.
func (m *model) prune() {
	m.mu.Lock()
	m.pruned = true
	m.mu.Unlock()
	s := store.New(m.db.Pool, store.Options{})
	before := time.Now().Add(-time.Duration(m.n(2000)) * time.Millisecond)
	if _, err := s.PruneVersions(m.t.Context(), store.Pruning{Before: before, Batch: 1 + m.n(5)}); err != nil {
		m.t.Error(err)
	}
	if _, err := s.PruneRuns(m.t.Context(), time.Second); err != nil {
		m.t.Error(err)
	}
}
