package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// options are the flags of the command line.
type options struct {
	listen        string
	customers     int
	batches       int
	devices       int
	seed          uint64
	pace          time.Duration
	speed         float64
	tenant        string
	clientID      string
	clientSecret  string
	tokenLifetime time.Duration
	faultRate     float64
}

// parseOptions reads the command line and prints what is wrong with it to stderr. The error for --help is
// flag.ErrHelp.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("partnercenter-emulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8470", "`address` to serve on")
	flags.IntVar(&o.customers, "customers", 3, "how many customers to invent")
	flags.IntVar(&o.batches, "batches", 4, "how many device batches to invent for each customer")
	flags.IntVar(&o.devices, "devices", 20, "how many devices to invent for each batch at most")
	flags.Uint64Var(&o.seed, "seed", 0, "the same seed invents the same data")
	flags.DurationVar(&o.pace, "pace", 10*time.Second, "emulated time within which something should happen")
	flags.Float64Var(&o.speed, "speed", 1, "emulated seconds per second")
	flags.StringVar(&o.tenant, "tenant", partnercentertest.DefaultTenantID, "the partner's tenant `id`")
	flags.StringVar(&o.clientID, "client-id", partnercentertest.DefaultClientID, "the application's `id`")
	flags.StringVar(&o.clientSecret, "client-secret", partnercentertest.DefaultClientSecret, "the application's `secret`")
	flags.DurationVar(&o.tokenLifetime, "token-lifetime", time.Hour, "how long a token is valid, in real time")
	flags.Float64Var(&o.faultRate, "fault-rate", 0, "share of API requests, 0 to 1, that are answered 503 or 429")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	err := o.check(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	return o, err
}

// check reports every value out of range.
func (o options) check(rest []string) error {
	var mistakes []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	require(len(rest) == 0, "unexpected arguments %q: there are flags only, see --help", rest)
	require(o.customers >= 0, "--customers %d: give 0 or more", o.customers)
	require(o.batches >= 0, "--batches %d: give 0 or more", o.batches)
	require(o.devices >= 0, "--devices %d: give 0 or more", o.devices)
	require(o.pace >= time.Second, "--pace %v: give 1s or more", o.pace)
	require(o.speed >= 0 && o.speed <= 3600, "--speed %g: give 0 to 3600", o.speed)
	require(o.tokenLifetime >= time.Second, "--token-lifetime %v: give 1s or more", o.tokenLifetime)
	require(o.faultRate >= 0 && o.faultRate <= 1, "--fault-rate %g: give a share from 0 to 1", o.faultRate)
	require(o.tenant != "" && o.clientID != "" && o.clientSecret != "",
		"--tenant, --client-id and --client-secret: none may be empty")
	return errors.Join(mistakes...)
}
