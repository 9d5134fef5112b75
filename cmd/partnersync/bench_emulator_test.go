package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// size is how much there is to read. Devices is at most a page.
type size struct{ Customers, Batches, Devices int }

func (s size) String() string {
	if s.Devices > 0 {
		return fmt.Sprintf("%dx%dx%d", s.Customers, s.Batches, s.Devices)
	}
	return fmt.Sprintf("%dx%d", s.Customers, s.Batches)
}

// rows is how many rows the lists make that a benchmark is about: of devices where there are any, else of batches.
func (s size) rows() int { return s.Customers * s.Batches * max(1, s.Devices) }

// list is how many rows one list has.
func (s size) list() int {
	if s.Devices > 0 {
		return s.Devices
	}
	return s.Batches
}

// changedIn is how many rows of each list a share of them is: one at least.
func (s size) changedIn(share float64) int { return max(1, int(share*float64(s.list()))) }

// changed is how many rows of all lists a share of each is.
func (s size) changed(share float64) int { return s.rows() / s.list() * s.changedIn(share) }

// created is when all batches were created; the emulator's clock stands.
var created = time.Date(2025, time.March, 3, 9, 30, 0, 0, time.UTC)

func seededBatchID(n int) string { return fmt.Sprintf("Sales laptops %05d", n) }

// benchBatch is a batch that has changed so many times.
func benchBatch(s size, n, turns int, uploaders bool) partnercentertest.Batch {
	b := partnercentertest.Batch{
		ID: seededBatchID(n), CreatedBy: "admin@relecloud.onmicrosoft.com", Created: created.Add(time.Duration(n) * time.Minute), DevicesCount: 1 + n%60,
		Status: []string{"finished", "finished_with_errors"}[turns%2],
	}
	if uploaders && turns > 0 {
		b.Status, b.CreatedBy = "finished", fmt.Sprintf("admin%d@relecloud.onmicrosoft.com", turns)
	}
	if s.Devices > 0 { // unfinished, so that each pass reads the devices
		b.Status, b.DevicesCount = "processing", s.Devices
	}
	return b
}

func seededDeviceID(n int) string { return fmt.Sprintf("1c2d3e4f-0000-4000-8000-%012d", n) }

// benchDevice is a device that has changed so many times.
func benchDevice(n, turns int) partnercentertest.Device {
	return partnercentertest.Device{
		ID: seededDeviceID(n), SerialNumber: fmt.Sprintf("2R9-ZNP%05d", n), ProductKey: fmt.Sprintf("00329-00000-%05d-AA882", n), Uploaded: created,
		ModelName: "Latitude 7450", OEMManufacturerName: "Dell Inc.",
		Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: fmt.Sprintf("9b1c%04d-1111-4000-8000-000000000001", turns)}},
	}
}

// order is what the process of the emulator is told to do.
type order struct {
	Seed *size // begin anew with so much
	// Uploaders: what changes in a batch is its createdBy, which makes no device list due, in place of its status.
	Uploaders bool
	Change    float64 // the share of each list that is to change; the next ones in turn
}

// benchEmulator serves the emulated API until its input ends: a command of its own, so that what the benchmarks measure of
// their own process is the worker's.
func benchEmulator() {
	var serving atomic.Pointer[partnercentertest.Emulator]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serving.Load().ServeHTTP(w, r) })) //nolint:errcheck // ends with the process
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var of size
	var uploaders bool
	var at int // how many rows of each list have changed so far
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return // the benchmark is over
		}
		if o.Seed != nil {
			of, at, uploaders = *o.Seed, 0, o.Uploaders
			serving.Store(seeded(of))
		}
		if o.Change > 0 {
			n := of.changedIn(o.Change)
			change(serving.Load(), of, at, n, uploaders)
			at += n
		}
		if answers.Encode("http://"+listener.Addr().String()) != nil {
			return
		}
	}
}

// seeded returns an emulator with so much in it.
func seeded(s size) *partnercentertest.Emulator {
	e := partnercentertest.New(partnercentertest.Options{LogSize: 1})
	devices := make([]partnercentertest.Device, s.Devices)
	for d := range devices {
		devices[d] = benchDevice(d, 0)
	}
	for c := range s.Customers {
		id := customerID(c)
		e.AddCustomer(partnercentertest.Customer{ID: id, CompanyName: fmt.Sprint("Contoso ", c), Domain: fmt.Sprintf("contoso%d.onmicrosoft.com", c)})
		for b := range s.Batches {
			e.PutBatch(id, benchBatch(s, b, 0, false))
			if s.Devices > 0 {
				e.PutDevices(id, seededBatchID(b), devices...)
			}
		}
	}
	return e
}

// change changes the n rows from the at-th on, counted round and round, in each list.
func change(e *partnercentertest.Emulator, s size, at, n int, uploaders bool) {
	for c := range s.Customers {
		id := customerID(c)
		if s.Devices == 0 {
			for i := at; i < at+n; i++ {
				e.PutBatch(id, benchBatch(s, i%s.Batches, 1+i/s.Batches, uploaders))
			}
			continue
		}
		for b := range s.Batches {
			for i := at; i < at+n; i++ {
				e.PutDevice(id, seededBatchID(b), benchDevice(i%s.Devices, 1+i/s.Devices))
			}
		}
	}
}

// emulator is the process of the emulated API.
type emulator struct {
	url     string
	orders  *json.Encoder
	answers *json.Decoder
}

// startEmulator starts one with so much to read in it. It ends with the benchmark.
func startEmulator(tb testing.TB, s size) *emulator {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "bench-emulator")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		err := errors.Join(in.Close(), drained(out), cmd.Wait())
		if tb.Context().Err() == nil && err != nil {
			tb.Errorf("ending the emulator: %v", err)
		}
	})
	e := &emulator{orders: json.NewEncoder(in), answers: json.NewDecoder(out)}
	e.order(tb, order{Seed: &s})
	return e
}

func drained(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// order has the emulator do something, and waits until it is done.
func (e *emulator) order(tb testing.TB, o order) {
	tb.Helper()
	if err := errors.Join(e.orders.Encode(o), e.answers.Decode(&e.url)); err != nil {
		tb.Fatalf("telling the emulator %+v: %v", o, err)
	}
}
