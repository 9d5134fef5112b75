package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"partnersync/store"
	"partnersync/sync"
)

// plans are what a pass would do: for each customer + new, ~ changed, - removed.
type plans struct {
	out   io.Writer
	all   []sync.Plan // of customers that something is to be said of, and of enumerations
	count map[store.DifferenceKind]int

	customers, failed int
}

// add takes in one customer, or an enumeration that failed.
func (p *plans) add(plan sync.Plan) {
	if plan.Customer.ID != "" {
		p.customers++
		if plan.Err != nil {
			p.failed++
		}
	}
	if len(plan.Differences) > 0 || plan.Err != nil {
		p.all = append(p.all, plan)
	}
}

// print prints the plans in a fixed order, and returns the exit code.
func (p *plans) print() int {
	slices.SortFunc(p.all, func(a, b sync.Plan) int {
		return cmp.Or(cmp.Compare(a.Partner, b.Partner), cmp.Compare(a.Customer.ID, b.Customer.ID))
	})
	p.count = map[store.DifferenceKind]int{}
	enumerationFailed := false
	for _, plan := range p.all {
		enumerationFailed = enumerationFailed || plan.Customer.ID == ""
		p.printPlan(plan)
	}
	fmt.Fprintf(p.out, "dry run, nothing was written: %d of %d customers ok, %d failed; rows: %d to insert, %d to change, %d to remove, %d to hold\n",
		p.customers-p.failed, p.customers, p.failed,
		p.count[store.Inserted], p.count[store.Changed], p.count[store.Removed], p.count[store.Held])
	switch {
	case p.customers == p.failed: // none at all, too
		return exitFailed
	case p.failed > 0 || enumerationFailed:
		return exitPartial
	}
	return exitOK
}

func (p *plans) printPlan(plan sync.Plan) {
	fmt.Fprint(p.out, plan.Partner)
	if plan.Customer.ID != "" {
		fmt.Fprintf(p.out, ": %s %s", plan.Customer.ID, oneLine(orEmpty(plan.Customer.CompanyName)))
	}
	fmt.Fprintln(p.out)
	for _, d := range plan.Differences {
		p.count[d.Kind]++
		printDifference(p.out, d)
	}
	if plan.Err != nil {
		fmt.Fprintf(p.out, "  ! %s\n", oneLine(plan.Err.Error()))
	}
}

// named is how a row is named for people.
func named(d store.Difference) string {
	switch d.Resource {
	case store.Devices:
		return fmt.Sprintf("device %q of batch %q", d.Key, d.BatchID)
	case store.ConfigurationPolicies:
		return fmt.Sprintf("configuration policy %q", d.Key)
	}
	return fmt.Sprintf("device batch %q", d.Key)
}

func printDifference(out io.Writer, d store.Difference) {
	switch d.Kind {
	case store.Inserted:
		fmt.Fprintf(out, "  + %s\n", named(d))
	case store.Changed:
		fmt.Fprintf(out, "  ~ %s\n", named(d))
		for _, change := range d.Changes {
			fmt.Fprintf(out, "      %s\n", oneLine(change))
		}
	case store.Removed:
		fmt.Fprintf(out, "  - %s\n", named(d))
	case store.Held:
		fmt.Fprintf(out, "  ? %s is missing; it would be held until the next listing\n", named(d))
	}
}
