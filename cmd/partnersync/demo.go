package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/cron"
	"partnersync/store/localpg"
	"partnersync/store/report"
	"partnersync/sync"
	"partnersync/sync/partnercenter/partnercentertest"
)

// What the demo invents.
const (
	demoCustomers = 3
	demoBatches   = 4 // of each customer
	demoDevices   = 6 // of each batch, at most
)

func newDemoCommand(a *app) *cobra.Command {
	d := &demo{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it at work: a private database and an emulated API, no account needed",
		Long: `Demo starts a private PostgreSQL server in a temporary directory and an emulator of the Partner
Center API with invented customers, makes a pass every two seconds, and prints what changed. From
the fifth pass on one customer fails for three passes, as one without a relationship does, and then
recovers: see what the output and the status page make of it. The exit code is 0 all the same.
Nothing of it is left at the end.`,
		Example: "  partnersync demo\n  partnersync demo --passes 5 --interval 1s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.passes < 0 || d.interval < time.Second || d.interval%time.Second != 0 {
				return fails(exitUsage, errors.New("--passes takes a number from 0 on, --interval whole seconds"))
			}
			return fails(exitFailed, d.run(cmd.Context()))
		},
	}
	cmd.Flags().IntVar(&d.passes, "passes", 0, "stop after so many passes (default: at ^C)")
	cmd.Flags().DurationVar(&d.interval, "interval", 2*time.Second, "time between two passes")
	return cmd
}

// demo is one run of the demo.
type demo struct {
	*app
	passes   int
	interval time.Duration
	pool     *pgxpool.Pool
	store    *store.Store
	api      *partnercentertest.Emulator
	page     *listening
	shown    int       // passes
	seen     time.Time // when the newest version that was shown began
}

func (d *demo) run(ctx context.Context) (err error) {
	// What is worth knowing is printed.
	log := slog.New(slog.NewTextHandler(d.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	fmt.Fprintln(d.stdout, "Starting a private PostgreSQL server …")
	server, err := localpg.Start(ctx, localpg.Config{Settings: map[string]string{"fsync": "off"}, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if d.pool, err = store.OpenPool(ctx, server.URL("postgres")); err != nil {
		return err
	}
	defer d.pool.Close()
	if err := migrations.Up(ctx, d.pool); err != nil {
		return err
	}
	d.store = store.New(d.pool, store.Options{Version: version()})
	api, stop, err := d.emulate()
	if err != nil {
		return err
	}
	defer stop()
	partner, err := d.partner(api)
	if err != nil {
		return err
	}
	address, err := d.listen(ctx, partner, log)
	if err != nil {
		return err
	}
	defer d.page.stop()
	fmt.Fprintf(d.stdout, `An emulated Partner Center API with %d customers is at %s.
The status page is at http://%s/
A pass every %s; ^C ends it. While it runs, look around with:

  %s

`, demoCustomers, api, address, d.interval, server.PsqlCommand("postgres"))
	if err := d.makePasses(ctx, partner, log); err != nil {
		return err
	}
	// ^C may have ended the passes, and is no reason to leave out the conclusion.
	return d.conclude(context.WithoutCancel(ctx))
}

// emulate serves the emulator on a free port of the loopback interface. Its clock moves by an interval after each pass,
// from an interval ago on: so it is never ahead of time, and no batch is finished before it was created.
func (d *demo) emulate() (url string, stop func(), err error) {
	d.api = partnercentertest.New(partnercentertest.Options{Start: time.Now().UTC().Add(-d.interval)})
	d.api.Seed(partnercentertest.SeedOptions{
		Customers: demoCustomers, Batches: demoBatches, Devices: demoDevices, Seed: 1, Pace: d.interval,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("starting the emulator: %w", err)
	}
	server := &http.Server{Handler: d.api, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) // ends with Close
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}

// partner configures the partner whose customers the emulator has.
func (d *demo) partner(api string) (config.Partner, error) {
	schedule, err := cron.Parse("@every "+d.interval.String(), time.UTC)
	return config.Partner{
		Name: "demo", Cloud: "global", APIURL: api, AuthorityURL: api, Schedule: schedule, Concurrency: demoCustomers,
		Devices: true, Policies: true, DevicesRefresh: time.Hour,
		TenantID: partnercentertest.DefaultTenantID, ClientID: partnercentertest.DefaultClientID,
		ClientSecret: partnercentertest.DefaultClientSecret,
	}, err
}

// listen serves the status page at the daemon's usual port, or at any other if that is taken.
func (d *demo) listen(ctx context.Context, pc config.Partner, log *slog.Logger) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:9470")
	if err != nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("starting the status page: %w", err)
	}
	d.page = newListening(&config.Config{Partners: []config.Partner{pc}}, log)
	d.page.stopServing = inBackground(ctx, func(ctx context.Context) { d.page.site.Serve(ctx, listener) })
	if err := d.page.connect(ctx, d.pool); err != nil {
		d.page.stop()
		return "", err
	}
	return listener.Addr().String(), nil
}

// makePasses makes passes and prints each, until there were enough or ctx is done.
func (d *demo) makePasses(ctx context.Context, pc config.Partner, log *slog.Logger) error {
	partner, err := d.newPartner(pc, nil, d.page.metrics, log)
	if err != nil {
		return err
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var failure error
	r := &sync.Runner{
		Store: d.store, Partners: []sync.Partner{partner}, RunOnStart: true, Logger: log,
		OnRun: func(run store.Run) {
			d.page.passed(ctx, run)
			if run.CustomersDeferred > 0 { // by a tick that came too soon for this machine: the next pass goes on
				return
			}
			d.shown++
			failure = errors.Join(d.showPass(ctx, run), d.addBatch(ctx), d.failCustomer(ctx))
			// Not during a pass, where a batch could vanish after it was listed and before its devices are.
			d.api.Advance(d.interval)
			if failure != nil || d.shown == d.passes {
				enough()
			}
		},
	}
	return errors.Join(r.Run(ctx), failure)
}

// addBatch adds a batch now and then, once the batches of the beginning do not change any more. Its devices are given a
// policy, by name, while it is processed.
func (d *demo) addBatch(ctx context.Context) error {
	const after, every = 6, 3 // passes
	n := (d.shown - after) / every
	if n < 1 || d.shown%every != 0 {
		return nil
	}
	id, err := d.customer(ctx, n)
	if err != nil || id == "" {
		return err
	}
	batch := partnercentertest.Batch{
		ID:     fmt.Sprintf("Loan laptops %d", n),
		Script: partnercentertest.Lifecycle(2*d.interval, 4*d.interval, n%4 == 0),
	}
	devices := make([]partnercentertest.Device, 5+n%20)
	for i := range devices {
		devices[i] = partnercentertest.Device{
			ID: uuid.NewString(), SerialNumber: fmt.Sprintf("LOAN-%d-%d", n, i+1),
			ModelName: "Surface Go 4", OEMManufacturerName: "Microsoft Corporation",
			Script: []partnercentertest.DeviceStep{{}, {
				After:    3 * d.interval,
				Policies: []partnercentertest.PolicyAssignment{{Key: "o_o_b_e", Value: "Standard users"}},
			}},
		}
	}
	d.api.PutBatch(id, batch)
	d.api.PutDevices(id, batch.ID, devices...)
	return nil
}

// failCustomer lets a customer fail for a few passes.
func (d *demo) failCustomer(ctx context.Context) error {
	switch d.shown {
	case 4:
		id, err := d.customer(ctx, 0)
		if err != nil || id == "" {
			return err
		}
		d.api.Fail(partnercentertest.Fault{
			Path: "/customers/" + id + "/", Status: http.StatusForbidden, Code: "20002",
			Description: "The partner has no commerce relationship with the customer",
		})
	case 7:
		d.api.ClearFaults()
	}
	return nil
}

// customer returns the id of the nth customer, from 0 on and around; "": there is none, or ctx is done.
func (d *demo) customer(ctx context.Context, n int) (id string, err error) {
	all, err := d.page.reader.Customers(ctx, report.CustomerSearch{})
	switch {
	case ctx.Err() != nil:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("choosing a customer: %w", err)
	case len(all) == 0:
		return "", nil
	}
	slices.SortFunc(all, func(a, b report.Customer) int { return strings.Compare(a.CustomerID, b.CustomerID) })
	return all[n%len(all)].CustomerID, nil
}
