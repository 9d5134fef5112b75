//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// How much data a trial has. Of each kind, no more can vanish at once than the mass removal guard believes.
const (
	trialCustomers = 3
	lasting        = 3 // batches and policies of a customer that never vanish
	fleeting       = 4 // those that come and go
	trialDevices   = 5 // of a batch at most
)

// mutator changes the data of a trial's customers all the time, as their administrators and the API do.
type mutator struct {
	api   *partnercentertest.Emulator
	rand  *rand.Rand
	steps int
	gone  map[string]bool // customer, batch

	batchesStay bool
}

// mutate fills the emulator and changes what it has every so often, until stop is called.
func (tr *trial) mutate(every time.Duration) (stop func()) {
	m := &mutator{api: tr.api, rand: rand.New(rand.NewPCG(tr.rand.Uint64(), 0)), gone: map[string]bool{},
		batchesStay: tr.batchesStay}
	for c := range trialCustomers {
		m.api.AddCustomer(partnercentertest.Customer{ID: customerID(c), CompanyName: fmt.Sprint("Contoso ", c)})
		for i := range lasting + fleeting {
			m.batch(c, i)
			m.policy(c, i)
		}
	}
	stopped := make(chan struct{})
	ctx, cancel := context.WithCancel(tr.t.Context())
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(every); ; {
			select {
			case <-ticker.C:
				m.step()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-stopped
		m.rest()
		tr.lastChange = time.Now()
	}
}

// step changes one thing.
func (m *mutator) step() {
	m.steps++
	c, any, passing := m.rand.IntN(trialCustomers), m.rand.IntN(lasting+fleeting), lasting+m.rand.IntN(fleeting)
	id := customerID(c)
	switch m.rand.IntN(12) {
	case 0, 1, 2, 3:
		m.advance(c, any)
	case 4:
		if !m.batchesStay {
			m.api.RemoveBatch(id, batchID(passing))
			m.gone[id+batchID(passing)] = true
		}
	case 5, 6:
		if m.gone[id+batchID(passing)] {
			m.batch(c, passing)
		}
	case 7, 8:
		m.device(c, any, m.rand.IntN(trialDevices))
	case 9:
		m.api.RemoveDevice(id, batchID(any), deviceID(m.rand.IntN(trialDevices)))
	case 10:
		m.policy(c, any)
	case 11:
		m.api.RemovePolicy(id, policyID(passing))
	}
}

// rest leaves all batches unfinished, so that their device lists are due in every pass. One that a daemon was served,
// and was killed before it wrote, would not be read again for a day once its batch has the status of the last list that
// was written.
func (m *mutator) rest() {
	for c := range trialCustomers {
		for i := range lasting + fleeting {
			m.advance(c, i, "processing")
		}
	}
}

func batchID(i int) string  { return fmt.Sprintf("Büro / %d %%", i) }
func deviceID(i int) string { return fmt.Sprint("device ", i) }
func policyID(i int) string { return fmt.Sprint("policy-", i) }

// batch puts a batch with some devices.
func (m *mutator) batch(c, i int) {
	m.advance(c, i, "queued")
	for d := range m.rand.IntN(trialDevices) {
		m.device(c, i, d)
	}
}

// advance gives a batch that is there, or is to come, another status: one that it may have had before, or one never
// seen.
func (m *mutator) advance(c, i int, statuses ...string) {
	id := customerID(c)
	if statuses == nil {
		if m.gone[id+batchID(i)] {
			return
		}
		statuses = []string{"queued", "processing", "finished", "finished_with_errors", fmt.Sprint("step ", m.steps)}
	}
	delete(m.gone, id+batchID(i))
	m.api.PutBatch(id, partnercentertest.Batch{ID: batchID(i), Status: statuses[m.rand.IntN(len(statuses))],
		CreatedBy: "relecloud.onmicrosoft.com"})
}

// device puts a device of a batch that is there, with one of few serial numbers and policies.
func (m *mutator) device(c, i, d int) {
	id := customerID(c)
	if m.gone[id+batchID(i)] {
		return
	}
	m.api.PutDevice(id, batchID(i), partnercentertest.Device{
		ID: deviceID(d), SerialNumber: fmt.Sprint("serial ", m.rand.IntN(3)),
		Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: policyID(m.rand.IntN(lasting))}},
	})
}

// policy puts a policy under one of few names.
func (m *mutator) policy(c, i int) {
	m.api.PutPolicy(customerID(c), partnercentertest.Policy{ID: policyID(i), Name: fmt.Sprint("Kiosk ", m.rand.IntN(3)),
		Settings: []string{"skip_eula"}})
}
