// Package partnercentertest emulates the part of the Partner Center REST API that is about device deployment, the
// list of customers, and the authority (Microsoft Entra ID) in front of them. Tests, the demo and the
// partnercenter-emulator command use it.
//
// The API is served under /v1, the authority at /{tenant}/oauth2/v2.0/token (the older endpoint at
// /{tenant}/oauth2/token) and /devicecode, and the page on which users enter a device code at /devicelogin. What is
// served changes with the emulator's own clock, which drives the scripts of batches and devices, with calls such as
// [Emulator.PutBatch], and with the API's own writing requests. [Emulator.Fail] makes requests fail,
// [Emulator.Requests] returns what was requested, and [Emulator.Timeline] what was served when.
//
// It is built from the API documentation alone and shares no code with the client, so that each checks the other. It
// keeps the API's quirks, such as a byte order mark before each JSON body, and adds nothing that the API lacks.
package partnercentertest

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [Options], which plainly are nobody's real ids.
const (
	DefaultTenantID     = "11111111-1111-1111-1111-111111111111"
	DefaultClientID     = "22222222-2222-2222-2222-222222222222"
	DefaultClientSecret = "emulator-secret"
)

// The largest pages.
const (
	MaxPageSize       = 500 // customers, as users of the API report it
	MaxDevicePageSize = 100 // devices, by "Get a list of devices for the specified batch and customer"
)

// Options configure an emulator. The zero value means the defaults named here and a clock that stands still.
type Options struct {
	Start time.Time // where its clock begins; zero: 2026-01-05 08:00 UTC
	Speed float64   // how many of its seconds pass in a real one; 0: only Advance moves the clock

	TenantID     string // the partner's tenant
	ClientID     string // the application that may request tokens
	ClientSecret string // the application's secret

	// TokenLifetime is how long a token is valid, by real time and not by the emulator's clock, because clients go by
	// real time as well. 0: 3599 s.
	TokenLifetime time.Duration

	Confidential   bool          // users' tokens are issued only if the application sends its secret
	DeviceInterval time.Duration // how often a device may poll for its user to sign in; 0: 5 s, as the authority has it

	PageSize         int    // customers on a page, at most MaxPageSize; 0: MaxPageSize
	DevicePageSize   int    // devices on a page, at most MaxDevicePageSize; 0: MaxDevicePageSize
	Paging           Paging // how a page refers to the next
	UnversionedLinks bool   // the links of pages lack /v1, as before November 2021 and still in the sandbox

	LogSize  int  // how many requests to keep for [Emulator.Requests]; 0: 10,000
	Timeline bool // keep what is served and what changes for [Emulator.Timeline], without bound
}

// Emulator is an [http.Handler] that answers as the API does. It is safe for concurrent use.
type Emulator struct {
	opts     Options
	started  time.Time
	advanced atomic.Int64 // nanoseconds

	mu        sync.Mutex // guards what follows
	customers customers
	tokens    map[string]holder
	faults    []*fault
	log       requestLog
	timeline  Timeline

	mfaRequired   bool
	refreshTokens map[string]*refreshToken
	devices       map[string]*deviceSignIn     // by device code
	certificates  map[string]*x509.Certificate // by thumbprint
	issuers       []issuer
	assertions    map[string]time.Time // when each that was seen ends, by its id
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
	o.DeviceInterval = cmp.Or(o.DeviceInterval, 5*time.Second)
	o.PageSize = min(cmp.Or(o.PageSize, MaxPageSize), MaxPageSize)
	o.DevicePageSize = min(cmp.Or(o.DevicePageSize, MaxDevicePageSize), MaxDevicePageSize)
	return &Emulator{
		opts:      o,
		started:   time.Now(),
		customers: customers{byID: map[string]*customer{}},
		tokens:    map[string]holder{},
		log:       requestLog{limit: cmp.Or(o.LogSize, 10_000)},

		refreshTokens: map[string]*refreshToken{},
		devices:       map[string]*deviceSignIn{},
		certificates:  map[string]*x509.Certificate{},
		assertions:    map[string]time.Time{},
	}
}

// Now returns the time by the emulator's clock.
func (e *Emulator) Now() time.Time {
	passed := time.Duration(float64(time.Since(e.started)) * e.opts.Speed)
	return e.opts.Start.Add(passed + time.Duration(e.advanced.Load()))
}

// Advance moves the emulator's clock forward by d, in addition to the time that passes by itself.
func (e *Emulator) Advance(d time.Duration) { e.advanced.Add(int64(d)) }

// ServeHTTP answers one request as the API would, or as a fault from [Emulator.Fail] demands.
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

// send writes the answer, or half of it. The request is logged first, so that a client that has its answer finds it
// there.
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
	w.Write(a.body) // an error is the client's
	if f.ResetBody {
		reset(w)
	}
}

// answer is a response before it is written.
type answer struct {
	status int
	header http.Header
	body   []byte // shared with later answers: copy it before changing it

	serving *Serving // if it is a page of a list and there is a timeline
}

// answer returns the answer of the API or the authority when nothing fails.
func (e *Emulator) answer(r *http.Request) answer {
	if at, ok := authorityEndpoint(r.URL.Path); ok {
		return e.authority(r, at)
	}
	return e.api(r)
}
