// Package partnercentertest emulates the part of the Partner Center REST API that is about device deployment, the list of
// customers, and the token endpoint in front of them. It serves tests, the demo and the partnercenter-emulator command
// alike:
//
//	e := partnercentertest.New(partnercentertest.Options{})
//	e.AddCustomer(partnercentertest.Customer{ID: id, CompanyName: "Contoso Bakery"})
//	e.PutBatch(id, partnercentertest.Batch{ID: "Sales laptops", Script: partnercentertest.Lifecycle(time.Minute, time.Hour, false)})
//	e.PutDevice(id, "Sales laptops", partnercentertest.Device{ID: "d1", SerialNumber: "2R9-ZNP67"})
//	server := httptest.NewServer(e)
//
// The API lies under /v1 of the server, the token endpoint at /{tenant}/oauth2/v2.0/token. What is served changes with
// the emulator's own clock, by the scripts of batches and devices, by calls such as [Emulator.PutBatch], and by the API's
// own writing calls; [Emulator.Fail] makes requests go wrong; [Emulator.Requests] tells what was asked, and
// [Emulator.Timeline] what was served when.
//
// It is built from the API documentation alone and shares no code with the client, so that the two check each other. It
// keeps the API's quirks, a byte order mark before each JSON body among them, and adds nothing that the API lacks.
package partnercentertest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What an emulator takes where [Options] says nothing: plainly not of this world.
const (
	DefaultTenantID     = "11111111-1111-1111-1111-111111111111"
	DefaultClientID     = "22222222-2222-2222-2222-222222222222"
	DefaultClientSecret = "emulator-secret"
)

// How much a page holds at most.
const (
	MaxPageSize       = 500 // customers, as users of the API report it
	MaxDevicePageSize = 100 // devices, by "Get a list of devices for the specified batch and customer"
)

// Options says how an emulator behaves. The zero value is an emulator of the defaults named, whose clock stands.
type Options struct {
	Start time.Time // where its clock begins; zero: 2026-01-05 08:00 UTC
	Speed float64   // how many of its seconds pass in one of ours; 0: the clock moves by Advance alone

	TenantID     string // the partner's tenant
	ClientID     string // the application that may ask for tokens
	ClientSecret string // the application's secret

	// TokenLifetime is how long a token is good, by the time of this process and not by the emulator's clock, since its
	// holder counts so too. 0: 3599 s.
	TokenLifetime time.Duration

	PageSize         int    // customers in a page, at most MaxPageSize; 0: MaxPageSize
	DevicePageSize   int    // devices in a page, at most MaxDevicePageSize; 0: MaxDevicePageSize
	Paging           Paging // how a page names the next
	UnversionedLinks bool   // links of pages lack /v1, as everywhere before November 2021 and still in the sandbox

	LogSize  int  // how many requests the log keeps; 0: 10,000
	Timeline bool // keep what is served and what changes, for [Emulator.Timeline]; it grows without bound
}

// Emulator is an [http.Handler] that answers as the API does. It is safe for concurrent use.
type Emulator struct {
	opts     Options
	born     time.Time
	advanced atomic.Int64 // nanoseconds

	mu        sync.Mutex // guards what follows
	customers customers
	tokens    map[string]time.Time // when each ends
	faults    []*fault
	log       requestLog
	timeline  Timeline
}

// New returns an emulator without customers.
func New(o Options) *Emulator {
	if o.Start.IsZero() {
		o.Start = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
	}
	o.TenantID = cmp.Or(o.TenantID, DefaultTenantID)
	o.ClientID = cmp.Or(o.ClientID, DefaultClientID)
	o.ClientSecret = cmp.Or(o.ClientSecret, DefaultClientSecret)
	o.TokenLifetime = cmp.Or(o.TokenLifetime, 3599*time.Second)
	o.PageSize = min(cmp.Or(o.PageSize, MaxPageSize), MaxPageSize)
	o.DevicePageSize = min(cmp.Or(o.DevicePageSize, MaxDevicePageSize), MaxDevicePageSize)
	return &Emulator{
		opts:      o,
		born:      time.Now(),
		customers: customers{byID: map[string]*customer{}},
		tokens:    map[string]time.Time{},
		log:       requestLog{limit: cmp.Or(o.LogSize, 10_000)},
	}
}

// Now returns the time by the emulator's clock.
func (e *Emulator) Now() time.Time {
	passed := time.Duration(float64(time.Since(e.born)) * e.opts.Speed)
	return e.opts.Start.Add(passed + time.Duration(e.advanced.Load()))
}

// Advance moves the emulator's clock on by d, beside what passes by itself.
func (e *Emulator) Advance(d time.Duration) { e.advanced.Add(int64(d)) }

// ServeHTTP answers one request, by a fault that [Emulator.Fail] asked for or as the API would.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := e.faultFor(r)
	if f.Before != nil {
		f.Before()
	}
	switch {
	case f.Hang:
		e.record(r, 0, 0)
		f.hang(r)
	case f.Reset:
		e.record(r, 0, 0)
		reset(w)
	default:
		e.send(w, r, f)
	}
}

// send writes the answer, or half of it. The log has the request first, so that whoever has the answer finds it there.
func (e *Emulator) send(w http.ResponseWriter, r *http.Request, f *fault) {
	a := e.answerUnder(f, r)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if f.ResetBody {
		a.body = a.body[:len(a.body)/2]
	}
	e.record(r, a.status, len(a.body))
	e.served(a, f)
	w.WriteHeader(a.status)
	if f.Trickle > 0 {
		f.trickle(w, r, a.body)
		return
	}
	w.Write(a.body) // whether the client still listens is its own affair
	if f.ResetBody {
		reset(w)
	}
}

// answer is a response before it is written.
type answer struct {
	status int
	header http.Header
	body   []byte // shared with later answers: to be copied before it is changed

	serving *Serving // the page of a list that it is; nil: none, or there is no timeline
}

// answer says what the API answers when nothing goes wrong.
func (e *Emulator) answer(r *http.Request) answer {
	if tenant, ok := tokenPath(r.URL.Path); ok {
		return e.token(r, tenant)
	}
	return e.api(r)
}

// tokenPath tells the token endpoint by its path, and which tenant is asked.
func tokenPath(path string) (tenant string, ok bool) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return tenant, strings.EqualFold(rest, "oauth2/v2.0/token")
}
