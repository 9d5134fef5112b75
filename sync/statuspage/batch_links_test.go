package statuspage

import (
	"regexp"
	"strings"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

// Each batch of the overview leads to itself and to no other, whatever its name.
func TestOverview_linksLeadToTheBatchAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	for _, name := range []string{"Loan laptops 1", "Loan laptops 10", " ", "   ", " Loan laptops 1", "a+b&c=%41#?"} {
		w.put(alpha, name, "queued")
	}
	w.pass()
	w.settled()
	page := w.shows("/", ">“   ” (only spaces)<", ">“ Loan laptops 1”<", ">Loan laptops 1<")
	links := regexp.MustCompile(`href="\.(/customers/[^"]*batch=[^"]*)"><bdi>([^<]*)<`).FindAllStringSubmatch(page, -1)
	if len(links) != 12 { // those that are unfinished, and the same as changes
		t.Fatalf("%d links in\n%s", len(links), page)
	}
	for _, link := range links {
		w.shows(link[1], "1 batch,", "<h3><bdi>"+link[2]+"</bdi>", "All batches of the customer")
	}
	if page := w.shows("/customers/" + alpha + "?batch=Loan"); strings.Contains(page, "<h3>") {
		t.Error("a part of a name finds a batch")
	}
	w.shows("/customers/"+alpha+"?batch=%00%ff", "No batch of that name was found.")
}
