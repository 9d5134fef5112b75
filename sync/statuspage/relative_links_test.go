package statuspage

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"partnersync/sync/partnercenter/partnercentertest"
)

// link is where a page leads: to another one, a file or the target of a form.
var link = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)

// A proxy may have the page under a path of its own. From there all of its pages and files are found, and nothing else.
func TestPages_underAPathOfAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta})
	w.put(alpha, "Batch a", "queued")
	w.api.Fail(partnercentertest.Fault{Path: "customers/" + beta + "/deviceBatches", Status: 403})
	w.pass()
	w.settled()
	proxy := httptest.NewServer(http.StripPrefix("/partnersync", w.site.Handler(true)))
	defer proxy.Close()
	seen := map[string]bool{}
	for queue := []string{proxy.URL + "/partnersync/", proxy.URL + "/partnersync/no/such/page"}; len(queue) > 0; queue = queue[1:] {
		page, err := url.Parse(queue[0])
		w.ok(err)
		page.Fragment = ""
		if seen[page.String()] {
			continue
		}
		seen[page.String()] = true
		if !strings.HasPrefix(page.Path, "/partnersync/") {
			t.Errorf("a link leads to %s, which is not the page's", page)
			continue
		}
		resp, err := http.Get(page.String())
		w.ok(err)
		body, err := io.ReadAll(resp.Body)
		w.ok(err)
		resp.Body.Close()
		if found := resp.StatusCode == http.StatusOK; found == strings.HasSuffix(page.Path, "/no/such/page") {
			t.Errorf("GET %s: %d", page, resp.StatusCode)
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(string(body), -1) {
			to, err := page.Parse(html.UnescapeString(match[1]))
			w.ok(err)
			queue = append(queue, to.String())
		}
	}
	for _, want := range []string{"/customers", "/customers/" + alpha, "/customers/" + beta, "/customers/" + alpha + "?batch=Batch%20a"} {
		if !seen[proxy.URL+"/partnersync"+want] {
			t.Errorf("no link leads to %s, but to %v", want, seen)
		}
	}
}
