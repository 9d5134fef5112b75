package sync

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// dashboard is what is tested of deploy/grafana/dashboard.json.
type dashboard struct {
	Templating struct {
		List []struct{ Name string }
	}
	Panels []struct {
		ID          int
		Title, Type string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			Datasource           struct{ Type, UID string }
			Format, RawSQL, Expr string
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/dashboard.json")
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// macros are Grafana's macros for PostgreSQL, expanded to the time of the cookbook's world.
var macros = strings.NewReplacer(
	"$__timeFrom()", "to_char(now() - interval '30 days', 'YYYY-MM-DD')",
	"$__timeTo()", "to_char(now(), 'YYYY-MM-DD')")

var timeFilter = regexp.MustCompile(`\$__timeFilter\(([a-z_.]+)\)`)

func expand(query string) string {
	return macros.Replace(timeFilter.ReplaceAllString(query, "$1 BETWEEN now() - interval '30 days' AND now()"))
}

// TestDashboard_queries runs the dashboard's SQL: each must answer something, and what its panel can show.
func TestDashboard_queries(t *testing.T) {
	t.Parallel()
	w := cookbookWorld(t)
	queries := 0
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			if target.RawSQL == "" {
				continue
			}
			queries++
			query := expand(target.RawSQL)
			if strings.Contains(query, "$") || strings.Contains(query, "partnersync.") {
				t.Errorf("%s: not for analysts, or with a macro that nobody knows: %s", p.Title, query)
			}
			rows, err := w.pool.Query(t.Context(), query)
			w.ok(err)
			answer, err := pgx.CollectRows(rows, pgx.RowToMap)
			if err != nil || len(answer) == 0 {
				t.Errorf("%s: %d rows, %v", p.Title, len(answer), err)
				continue
			}
			switch {
			case target.Format == "time_series" &&
				(answer[0]["time"] == nil || answer[0]["metric"] == nil || answer[0]["value"] == nil):
				t.Errorf("%s: no time series has %v", p.Title, answer[0])
			case p.Type == "stat" && (len(answer) != 1 || len(answer[0]) != 1):
				t.Errorf("%s: no one value is %v", p.Title, answer)
			}
		}
	}
	if queries < 5 {
		t.Errorf("%d queries", queries)
	}
}

// TestDashboard_answers checks the figures that stand for themselves.
func TestDashboard_answers(t *testing.T) {
	t.Parallel()
	w := cookbookWorld(t)
	figures := map[string]string{"Customers failing": `{"failing": 2}`, "Unfinished batches": `{"unfinished": 3}`}
	for _, p := range readDashboard(t).Panels {
		want, ok := figures[p.Title]
		if !ok {
			continue
		}
		delete(figures, p.Title)
		var got string
		w.ok(w.pool.QueryRow(t.Context(),
			"SELECT to_jsonb(answer)::text FROM ("+p.Targets[0].RawSQL+") AS answer").Scan(&got))
		if got != want {
			t.Errorf("%s: %s, want %s", p.Title, got, want)
		}
	}
	if len(figures) > 0 {
		t.Errorf("there is no panel of %v", figures)
	}
}

func TestDashboard_panels(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	known := map[string]bool{}
	for _, variable := range d.Templating.List {
		known["${"+variable.Name+"}"] = true
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%s: id %d, description %q, %d queries", p.Title, p.ID, p.Description, len(p.Targets))
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q or the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if !known[target.Datasource.UID] {
				t.Errorf("%s asks %s, which nobody can choose", p.Title, target.Datasource.UID)
			}
			if (target.RawSQL == "") == (target.Expr == "") ||
				(target.Expr != "") != (target.Datasource.Type == "prometheus") {
				t.Errorf("%s asks %s %q%q", p.Title, target.Datasource.Type, target.RawSQL, target.Expr)
			}
		}
	}
}
