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

// rows returns the number of rows that a benchmark is about: those of devices if there are any, otherwise of batches.
func (s size) rows() int { return s.Customers * s.Batches * max(1, s.Devices) }

// list returns the number of rows of one list.
func (s size) list() int {
	if s.Devices > 0 {
		return s.Devices
	}
	return s.Batches
}

// changedIn returns how many rows of each list a share of them is, at least one.
func (s size) changedIn(share float64) int { return max(1, int(share*float64(s.list()))) }

// changed returns how many rows of all lists a share of each list is.
func (s size) changed(share float64) int { return s.rows() / s.list() * s.changedIn(share) }

// created is when all batches were created; the emulator's clock stands still.
var created = time.Date(2025, time.March, 3, 9, 30, 0, 0, time.UTC)

func seededBatchID(n int) string { return fmt.Sprintf("Sales laptops %05d", n) }

// benchBatch returns a batch after a number of changes.
func benchBatch(s size, n, changes int, uploaders bool) partnercentertest.Batch {
	b := partnercentertest.Batch{
		ID: seededBatchID(n), CreatedBy: "admin@relecloud.onmicrosoft.com", DevicesCount: 1 + n%60,
		Created: created.Add(time.Duration(n) * time.Minute), Status: []string{"finished", "finished_with_errors"}[changes%2],
	}
	if uploaders && changes > 0 {
		b.Status, b.CreatedBy = "finished", fmt.Sprintf("admin%d@relecloud.onmicrosoft.com", changes)
	}
	if s.Devices > 0 { // unfinished, so that each pass reads the devices
		b.Status, b.DevicesCount = "processing", s.Devices
	}
	return b
}

func seededDeviceID(n int) string { return fmt.Sprintf("1c2d3e4f-0000-4000-8000-%012d", n) }

// benchDevice returns a device after a number of changes.
func benchDevice(n, changes int) partnercentertest.Device {
	return partnercentertest.Device{
		ID: seededDeviceID(n), Uploaded: created,
		SerialNumber: fmt.Sprintf("2R9-ZNP%05d", n), ProductKey: fmt.Sprintf("00329-00000-%05d-AA882", n),
		ModelName: "Latitude 7450", OEMManufacturerName: "Dell Inc.",
		Policies: []partnercentertest.PolicyAssignment{
			{Key: "o_o_b_e", Value: fmt.Sprintf("9b1c%04d-1111-4000-8000-000000000001", changes)},
		},
	}
}

// order is a command to the process of the emulator.
type order struct {
	Seed *size // start anew with so much data
	// Uploaders: what changes in a batch is its createdBy, which makes no device list due, instead of its status.
	Uploaders bool
	Change    float64 // the share of each list to change, beginning after the last change
}

// benchEmulator serves the emulated API until its input ends. It is a command of its own, so that the benchmarks'
// process contains only the worker to be measured.
func benchEmulator() {
	var serving atomic.Pointer[partnercentertest.Emulator]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serving.Load().ServeHTTP(w, r) })
	go http.Serve(listener, handler) //nolint:errcheck // ends with the process
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

// seeded returns an emulator with so much data.
func seeded(s size) *partnercentertest.Emulator {
	e := partnercentertest.New(partnercentertest.Options{LogSize: 1})
	devices := make([]partnercentertest.Device, s.Devices)
	for d := range devices {
		devices[d] = benchDevice(d, 0)
	}
	for c := range s.Customers {
		id := customerID(c)
		e.AddCustomer(partnercentertest.Customer{
			ID: id, CompanyName: fmt.Sprint("Contoso ", c), Domain: fmt.Sprintf("contoso%d.onmicrosoft.com", c),
		})
		for b := range s.Batches {
			e.PutBatch(id, benchBatch(s, b, 0, false))
			if s.Devices > 0 {
				e.PutDevices(id, seededBatchID(b), devices...)
			}
		}
	}
	return e
}

// change changes n rows in each list, from the at-th on, and from the first again after the last.
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

// startEmulator starts an emulator with so much data. It ends with the benchmark.
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

// order sends an order to the emulator and waits until it is carried out.
func (e *emulator) order(tb testing.TB, o order) {
	tb.Helper()
	if err := errors.Join(e.orders.Encode(o), e.answers.Decode(&e.url)); err != nil {
		tb.Fatalf("sending %+v to the emulator: %v", o, err)
	}
}
