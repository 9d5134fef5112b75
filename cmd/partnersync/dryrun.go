package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"partnersync/migrations"
	"partnersync/store"
	"partnersync/store/plural"
	"partnersync/store/sanitize"
	"partnersync/sync"
)

// dryRun prints what the pass would change, and writes nothing.
func (a *app) dryRun(ctx context.Context, r *sync.Runner, db *database, q sync.Request) error {
	state, err := migrations.Read(ctx, db.Pool)
	if err == nil && state.Version > 0 { // without a schema, everything is new
		err = state.Check()
	}
	if err != nil {
		return fails(exitFailed, err)
	}
	p := &plans{
		out: a.stdout, colours: a.palette(a.stdout), summary: a.flags.summary,
		counts: map[string]counts{}, of: map[string]int{},
	}
	err = r.DryRun(ctx, q, p.add)
	code := exitCode(nil, err, ctx.Err() != nil)
	switch {
	case ctx.Err() != nil:
		err = errInterrupted
	case err == nil:
		code = p.print()
		for _, partner := range r.Partners {
			if rounds := partner.Rounds(p.of[partner.Name], time.Now()); rounds != "" {
				fmt.Fprintf(a.stdout, "%s: %s\n", partner.Name, rounds)
			}
		}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: err}
}

// plans are what a pass would do to each partner's list of customers, and to each customer's rows: + new, ~ changed,
// - removed and ? missing, but kept until the next listing.
type plans struct {
	out     io.Writer
	colours palette
	summary bool              // how many rows, not which
	all     []sync.Plan       // those with differences or an error; in a summary those with an error, without differences
	counts  map[string]counts // by partner

	customers, failed int
	of                map[string]int // customers of each partner
}

// counts is how many rows of each resource a pass would insert, change, remove and hold.
type counts map[string]map[store.DifferenceKind]int

// resources are the resources in the order of a summary.
var resources = []string{store.Customers, store.DeviceBatches, store.Devices, store.ConfigurationPolicies}

// add adds the plan of one customer, or of a partner's list of customers.
func (p *plans) add(plan sync.Plan) {
	if plan.Customer.ID != "" {
		p.customers++
		p.of[plan.Partner]++
		if plan.Err != nil {
			p.failed++
		}
	}
	if p.counts[plan.Partner] == nil {
		p.counts[plan.Partner] = counts{}
	}
	p.counts[plan.Partner].add(plan.Differences)
	if p.summary {
		plan.Differences = nil
	}
	if len(plan.Differences) > 0 || plan.Err != nil {
		p.all = append(p.all, plan)
	}
}

func (c counts) add(differences []store.Difference) {
	for _, d := range differences {
		if c[d.Resource] == nil {
			c[d.Resource] = map[store.DifferenceKind]int{}
		}
		c[d.Resource][d.Kind]++
	}
}

// print prints the plans in a fixed order, and returns the exit code.
func (p *plans) print() int {
	slices.SortFunc(p.all, func(a, b sync.Plan) int {
		return cmp.Or(cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Customer.ID, b.Customer.ID))
	})
	if p.summary {
		p.printCounts()
	}
	enumerationFailed := false
	for _, plan := range p.all {
		enumerationFailed = enumerationFailed || plan.Customer.ID == "" && plan.Err != nil
		p.printPlan(plan)
	}
	rows, listed := map[store.DifferenceKind]int{}, map[store.DifferenceKind]int{}
	for _, resources := range p.counts {
		for resource, count := range resources {
			sum := rows
			if resource == store.Customers {
				sum = listed
			}
			for kind, n := range count {
				sum[kind] += n
			}
		}
	}
	if len(listed) > 0 {
		fmt.Fprintf(p.out, "customers: %s\n", kinds(listed))
	}
	fmt.Fprintf(p.out, "dry run, nothing was written: %d of %s ok, %d failed; rows: %s\n",
		p.customers-p.failed, plural.Of(p.customers, "customer", "customers"), p.failed, kinds(rows))
	switch {
	case p.customers == p.failed: // none at all, too
		return exitFailed
	case p.failed > 0 || enumerationFailed:
		return exitPartial
	}
	return exitOK
}

// printCounts prints, for each partner and resource, how many rows differ.
func (p *plans) printCounts() {
	for _, partner := range slices.Sorted(maps.Keys(p.counts)) {
		for _, resource := range resources {
			if count := p.counts[partner][resource]; count != nil {
				fmt.Fprintf(p.out, "%s: %s: %s\n", partner, strings.ReplaceAll(resource, "_", " "), kinds(count))
			}
		}
	}
}

func kinds(count map[store.DifferenceKind]int) string {
	return fmt.Sprintf("%d to insert, %d to change, %d to remove, %d to hold",
		count[store.Inserted], count[store.Changed], count[store.Removed], count[store.Held]+count[store.Unconfirmed])
}

func (p *plans) printPlan(plan sync.Plan) {
	if plan.Customer.ID == "" {
		fmt.Fprintf(p.out, "%s: its customers\n", plan.Partner)
	} else {
		fmt.Fprintf(p.out, "%s: %s\n", plan.Partner, idAndName(plan.Customer.ID, plan.Customer.CompanyName))
	}
	for _, d := range plan.Differences {
		p.printDifference(d)
	}
	if plan.Err != nil {
		fmt.Fprintf(p.out, "  %s %s\n", p.colours.red("!"), sanitize.Line(plan.Err.Error()))
	}
}

// idAndName is a customer's id, with the name if it is known.
func idAndName(id string, name *string) string {
	if orEmpty(name) == "" {
		return id
	}
	return id + " " + sanitize.Line(*name)
}

// named is the name of a row for people.
func named(d store.Difference) string {
	switch d.Resource {
	case store.Devices:
		return fmt.Sprintf("device %q of batch %q", d.Key, d.BatchID)
	case store.ConfigurationPolicies:
		return fmt.Sprintf("configuration policy %q", d.Key)
	case store.Customers:
		return "customer " + idAndName(d.Key, d.Name)
	}
	return fmt.Sprintf("device batch %q", d.Key)
}

func (p *plans) printDifference(d store.Difference) {
	switch d.Kind {
	case store.Inserted:
		fmt.Fprintf(p.out, "  %s\n", p.colours.green("+ "+named(d)))
	case store.Changed:
		fmt.Fprintf(p.out, "  %s\n", p.colours.yellow("~ "+named(d)))
		for _, change := range d.Changes {
			fmt.Fprintf(p.out, "      %s\n", sanitize.Line(change))
		}
	case store.Removed:
		fmt.Fprintf(p.out, "  %s\n", p.colours.red("- "+named(d)))
	case store.Held:
		fmt.Fprintf(p.out, "  ? %s is missing; it would be held until the next listing\n", named(d))
	case store.Unconfirmed:
		fmt.Fprintf(p.out, "  ? %s is missing from one listing; it would stay until another lacks it too\n", named(d))
	}
}
