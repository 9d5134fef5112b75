package statuspage

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

// story is what the pages of a typical world show: batches in every status, a customer that fails, hostile names.
func story(t *testing.T) (w *world, paths map[string]string) {
	t.Helper()
	w = newWorld(t, Options{})
	w.api.Seed(partnercentertest.SeedOptions{Customers: 6, Batches: 5, Seed: 3})
	w.api.AddCustomer(partnercentertest.Customer{ID: alpha, CompanyName: "<script>alert(1)</script> & Söhne",
		Domain: "soehne.example.com"})
	w.api.AddCustomer(partnercentertest.Customer{ID: beta, CompanyName: "Fabrikam Leasing"})
	w.put(alpha, `"><img src=x onerror=alert(2)>`, "queued")
	w.put(alpha, "archived in 2019", "archived")
	w.api.Fail(partnercentertest.Fault{
		Path: beta, Status: 403, Code: "20002", Description: "The partner has no <b>relationship</b> with the customer.",
	})
	for range 6 {
		w.pass()
		w.api.Advance(2 * time.Minute)
	}
	w.put(alpha, `"><img src=x onerror=alert(2)>`, "finished")
	w.pass()
	w.age()
	w.settled()
	return w, map[string]string{
		"overview": "/", "customers": "/customers", "nobody": "/customers?q=nobody", "customer": "/customers/" + alpha,
		"failing": "/customers/" + beta, "missing": "/nothing", "watched": "/?watch",
	}
}

// age makes what happened so far happen over the last weeks: a step from pass to pass becomes days.
func (w *world) age() {
	w.t.Helper()
	for _, sql := range []string{
		`UPDATE partner_center.device_batch_versions SET valid_from = now() - (now() - valid_from) * f.f,
			valid_to = now() - (now() - valid_to) * f.f
			FROM (SELECT extract(epoch FROM interval '25 days') / greatest(0.001, extract(epoch
			FROM now() - min(valid_from))) AS f FROM partner_center.device_batch_history) f`,
		`UPDATE partner_center.device_batches b SET valid_from = coalesce((SELECT max(valid_to)
			FROM partner_center.device_batch_versions v
			WHERE v.customer_id = b.customer_id AND v.batch_id = b.batch_id),
			now() - interval '25 days' * ((abs(hashtext(batch_id)) % 100) / 100.0)),
			creation_date = now() - interval '40 days' * ((abs(hashtext(batch_id)) % 97) / 97.0)`,
		`UPDATE partnersync.runs SET started_at = now() - interval '23 hours' * (8 - run_id) / 8.0, state =
			CASE WHEN run_id % 3 = 0 THEN 'complete' ELSE state END`,
		`INSERT INTO partnersync.runs (partner, kind, scheduled_for, started_at, finished_at, enumerated_at, state)
			SELECT 'contoso', 'scheduled', t, t, t, t, CASE WHEN extract(hour
			FROM t)::integer = 4 THEN 'failed' ELSE 'complete' END
			FROM generate_series(now() - interval '1 day', now(), interval '15 minutes') t`,
	} {
		_, err := w.db.Pool.Exec(w.t.Context(), sql)
		w.ok(err)
	}
}

func TestPages_areValidHTML(t *testing.T) {
	t.Parallel()
	tidy, err := exec.LookPath("tidy")
	if err != nil {
		t.Skip("allowed: tidy is not installed")
	}
	w, paths := story(t)
	for name, path := range paths {
		_, page := w.get(path)
		cmd := exec.CommandContext(t.Context(), tidy, "-quiet", "-errors", "--drop-empty-elements", "no",
			"--warn-proprietary-attributes", "no")
		cmd.Stdin = strings.NewReader(page)
		if said, err := cmd.CombinedOutput(); err != nil { // warnings too
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}
