package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contoso is the minimal configuration with another line for its partner.
func contoso(line string) string { return minimal + "    " + line + "\n" }

// credential is the minimal configuration with another line for its secret's.
func credential(line string) string {
	return strings.Replace(minimal, "client_secret: hunter2~XYZ!", line, 1)
}

// called is the minimal configuration with another name for its partner.
func called(name string) string { return strings.Replace(minimal, "name: contoso", "name: "+name, 1) }

// ofTenant is the minimal configuration with another tenant for its partner.
func ofTenant(id string) string { return strings.Replace(minimal, "contoso.onmicrosoft.com", id, 1) }

const (
	syntaxFix   = "; indent with spaces, and quote values that begin with a sign or hold a colon or #"
	databaseFix = databaseURLFix
	variableFix = "; write ${NAME}, or $${ for a plain ${"
	topKeys     = "customer_metrics, database_url, database_url_file, keep_runs, lease, listen, migrate_on_start, notify, page_url, " +
		"partners, run_on_start, schedule, state_dir, status_page_password_file, timezone, token_key_file"
	partnerKeys = "api_url, app_user, app_user_secret_file, authority_url, client_certificate_file, client_id, " +
		"client_secret, client_secret_expires, client_secret_file, " +
		"cloud, concurrency, customers, devices, devices_refresh, exclude_customers, federated_token_file, name, " +
		"policies, " +
		"requests_per_minute, schedule, tenant_id"
)

type mistakeTest struct{ name, content, want string }

func runMistakeTests(t *testing.T, tests []mistakeTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]string{"c.yaml:" + tt.want}, mistakesOf(t, tt.content)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However deep lists and mappings are nested, an error takes little memory.
func TestLoad_nestedDeep(t *testing.T) { // not in parallel: it looks at what is allocated
	const deep = 100_000
	for name, line := range map[string]string{
		"lists": strings.Repeat("[", deep), "closed lists": strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"mappings": strings.Repeat("{a: ", deep), "items": strings.Repeat("- ", deep) + "a", "both": strings.Repeat("[{a: ", deep/2),
		"tagged items": strings.Repeat("- !a ", deep), "items in a list": "[" + strings.Repeat("- ", deep),
		"lines of items": strings.Repeat("[\n", deep),
	} {
		before := allocated()
		got := mistakesOf(t, "state_dir: a\npartners: "+line+"\n")
		if len(got) != 1 || !strings.Contains(got[0], "nested more than 100 deep") {
			t.Errorf("%s: %q", name, got)
		}
		if took := allocated() - before; took > 100<<20 {
			t.Errorf("%s: %d MiB were allocated", name, took>>20)
		}
	}
	text := "# " + strings.Repeat("[ - ", 500) + "\n" + minimal + "    customers: [00000000-0000-4000-8000-000000000000]\n" +
		"    exclude_customers: []\n"
	if _, err := load(t, text, env); err != nil {
		t.Errorf("a comment and flat lists: %v", err)
	}
}

// allocated is how many bytes the tests have allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestLoad_filesThatAreNoText(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"\x00": "it holds NUL bytes", "state_dir: caf\xe9\n": "it is text in an encoding other than UTF-8; convert it: iconv",
	} {
		if got := mistakesOf(t, content); len(got) != 1 || !strings.Contains(got[0], "reading the configuration c.yaml") ||
			!strings.Contains(got[0], want) {
			t.Errorf("%q: %q, want %s", content, got, want)
		}
	}
}

func TestLoad_filesThatAreNoConfiguration(t *testing.T) {
	t.Parallel()
	const empty = "1:1: the file is empty; begin with a copy of deploy/partnersync.yaml"
	const noMapping = "1:1: the file is not a mapping; write keys and values, such as deploy/partnersync.yaml has"
	const reference = "YAML anchors, aliases and tags are not supported; write the value itself, quoted if it begins " +
		"with a sign"
	const noKey = "this is not a key; write a plain word, a colon and a space (no anchors, no <<)"
	runMistakeTests(t, []mistakeTest{
		{"empty", "", empty},
		{"comments only", "# nothing\n", empty},
		{"an empty document", "---\n", empty},
		{"a list", "- a\n", noMapping},
		{"a word", "partners\n", noMapping},
		{"a word in UTF-16", "\xff\xfep\x00", noMapping},
		{"two documents", minimal + "---\nlease: 5s\n",
			"6:1: the file holds more than one YAML document; keep one, without lines of ---"},
		{"directive", "%YAML 1.2\n---\n" + minimal,
			"1:1: YAML directives are not supported; remove the line that begins with %"},
		{"tab for indentation", "partners:\n\t- name: a\n",
			"2:1: found character '\t' that cannot start any token" + syntaxFix},
		{"two colons", "lease: a: b\n", "1:8: mapping value is not allowed in this context" + syntaxFix},
		{"open quote", "lease: \"5s\n", "1:8: could not find end character of double-quoted text" + syntaxFix},
		{"open list", "partners: [\n", "1:11: sequence end token ']' not found" + syntaxFix},
		{"unquoted @", "schedule: @hourly\n", "1:11: '@' is a reserved character" + syntaxFix},
		{"unquoted *", "schedule: */15 * * * *\n",
			"1:16: value is not allowed in this context. map key-value is pre-defined" + syntaxFix},
		{"alias", minimal + "lease: *x\n", "6:8: lease: " + reference},
		{"anchor", minimal + "lease: &x 5s\n", "6:8: lease: " + reference},
		{"tag", minimal + "lease: !!str 5s\n", "6:8: lease: " + reference},
		{"merge key", minimal + "<<: {lease: 5s}\n", "6:1: " + noKey},
		{"complex key", minimal + "? lease\n: 5s\n", "6:1: " + noKey},
		{"key of several words", minimal + "the lease: 5s\n", "6:1: " + noKey},
	})
}

func TestLoad_wrongKeys(t *testing.T) {
	t.Parallel()
	runMistakeTests(t, []mistakeTest{
		{"misspelt", minimal + "leese: 5s\n", "6:1: leese: is not a known key; write lease"},
		{"in capitals", minimal + "LEASE: 5s\n", "6:1: LEASE: is not a known key; write lease"},
		{"with hyphens", minimal + "run-on-start: true\n", "6:1: run-on-start: is not a known key; write run_on_start"},
		{"in camel case", contoso("requestsPerMinute: 5"),
			"6:5: requestsPerMinute: is not a known key; write requests_per_minute"},
		{"unlike any", minimal + "base: 5s\n", "6:1: base: is not a known key; known are " + topKeys},
		{"unlike any of a partner's", contoso("lease: 5s"), "6:5: lease: is not a known key; known are " + partnerKeys},
		{"twice", minimal + "lease: 5s\nlease: 6s\n", "7:1: lease: repeats line 6; keep one of the two"},
		{"twice in a partner", contoso("name: b"), "6:5: name: repeats line 2; keep one of the two"},
	})
}

func TestLoad_wrongValues(t *testing.T) {
	t.Parallel()
	const noDuration = " is not a duration; write one such as 90s, 15m, 24h or 7d"
	const noAddress = ` is not host:port; write one such as 127.0.0.1:9470, or "" to listen nowhere`
	const noZone = " is not a time zone; write an IANA name such as UTC or Europe/Berlin"
	runMistakeTests(t, []mistakeTest{
		{"nothing", minimal + "lease:\n", "6:8: lease: has no value; write one, or remove the line"},
		{"null", minimal + "lease: ~\n", "6:8: lease: has no value; write one, or remove the line"},
		{"a list", minimal + "lease: [5s]\n", "6:1: lease: is a list or a mapping; write a single value"},
		{"a mapping", minimal + "lease: {s: 5}\n", "6:1: lease: is a list or a mapping; write a single value"},
		{"empty text", minimal + "state_dir: ' '\n", "6:12: state_dir: is empty; write a value"},
		{"short lease", minimal + "lease: 1999ms\n", `6:8: lease: "1999ms" is too short; write at least 2s`},
		{"runs kept for too short", minimal + "keep_runs: 23h\n",
			`6:12: keep_runs: "23h" is too short; write at least 1d, or 0 to keep all runs`},
		{"no unit", minimal + "lease: 5\n", `6:8: lease: "5"` + noDuration},
		{"negative", minimal + "lease: -5s\n", `6:8: lease: "-5s"` + noDuration},
		{"no bool", minimal + "run_on_start: yes\n",
			`6:15: run_on_start: "yes" is neither true nor false; write one of them`},
		{"only a port", minimal + "listen: 9470\n", `6:9: listen: "9470"` + noAddress},
		{"a port's name", minimal + "listen: localhost:http\n", `6:9: listen: "localhost:http"` + noAddress},
		{"a port out of range", minimal + "listen: :65536\n", `6:9: listen: ":65536"` + noAddress},
		{"no zone", minimal + "timezone: Berlin\n", `6:11: timezone: "Berlin"` + noZone},
		{"the machine's zone", minimal + "timezone: Local\n", `6:11: timezone: "Local"` + noZone},
		{"an empty zone", minimal + "timezone: ''\n", `6:11: timezone: ""` + noZone},
		{"no schedule", minimal + "schedule: 0 0 30 2 *\n",
			`6:11: schedule: reading schedule "0 0 30 2 *": it has no next time; no month it names has such a day`},
		{"a zone in the schedule", contoso("schedule: TZ=UTC 0 0 * * *"),
			`6:15: schedule: reading schedule "TZ=UTC 0 0 * * *": a time zone does not go here; use the timezone key`},
		{"a schedule from the environment", minimal + "schedule: ${CONTOSO_CLIENT_SECRET}\n",
			`6:11: schedule: "${CONTOSO_CLIENT_SECRET}" holds no schedule; ` +
				`set one such as "*/15 * * * *", @hourly or @every 15m`},
		{"unset variables", minimal + "state_dir: ${HOME}/${A_1}\n",
			"6:12: state_dir: the environment does not set ${HOME}, ${A_1}; set it there, or write $${ for a plain ${"},
		{"empty variable", minimal + "state_dir: ${EMPTY}\n", "6:12: state_dir: is empty; write a value"},
		{"open brace", minimal + "state_dir: a${HOME\n",
			"6:12: state_dir: has a ${ without the name of an environment variable and }" + variableFix},
		{"no name", minimal + "state_dir: ${}\n",
			"6:12: state_dir: has a ${ without the name of an environment variable and }" + variableFix},
		{"a shell's default", minimal + "state_dir: ${A:-b}\n",
			"6:12: state_dir: has a ${ without the name of an environment variable and }" + variableFix},
		{"empty database_url", "database_url: ''\n" + minimal, "1:15: database_url: is empty" + databaseFix},
		{"another database", "database_url: mysql://u:pa55word!@h/db\n" + minimal,
			"1:15: database_url: is not a PostgreSQL URL" + databaseFix},
		{"a bad port", "database_url: postgres://u:pa55word!@h:x/db\n" + minimal,
			"1:15: database_url: does not read as a PostgreSQL URL" + databaseFix},
		{"no database", "database_url: pa55word!\n" + minimal,
			"1:15: database_url: does not read as a PostgreSQL URL" + databaseFix},
		{"no certificate", "database_url: postgres://u:pa55word!@h/db?sslmode=verify-full&sslrootcert=/nowhere.pem\n" +
			minimal,
			"1:15: database_url: names a file that cannot be read: no such file or directory; check sslrootcert, " +
				"sslcert and sslkey"},
	})
}

func TestLoad_wrongPartners(t *testing.T) {
	t.Parallel()
	const noName = " is not a valid name; write 1 to 64 printable characters, without spaces around them"
	const noTenant = " is not a tenant; write its GUID or a domain of it such as contoso.onmicrosoft.com"
	const noBase = "6:14: api_url: is not an absolute http or https URL; write one such as " +
		"https://proxy.example.com/partnercenter"
	const moreThanBase = "6:14: api_url: is more than a base URL; leave out user, password, ?query and #fragment"
	runMistakeTests(t, []mistakeTest{
		{"none", "lease: 5s\n", "1:1: partners: is missing; list at least one, such as deploy/partnersync.yaml has"},
		{"nothing", "partners:\n", `1:1: partners: is not a list; write one item a line, each after "- "`},
		{"a mapping", "partners: {name: a}\n", `1:1: partners: is not a list; write one item a line, each after "- "`},
		{"empty", "partners: []\n", "1:1: partners: is an empty list; list at least one partner"},
		{"a word", minimal + "  - fabrikam\n",
			"6:5: partners: an item is keys and values; write - name: contoso and its other keys below"},
		{"an empty name", called(`""`), `2:11: name: ""` + noName},
		{"a name with a space before", called(`" a"`), `2:11: name: " a"` + noName},
		{"a name with a space after", called(`"a "`), `2:11: name: "a "` + noName},
		{"a name of two lines", called(`"a\nb"`), `2:11: name: "a\nb"` + noName},
		{"a name with a space of no visible width", called("a\u200bb"), `2:11: name: "a\u200bb"` + noName},
		{"a name that is no text", called("${LATIN_1}"), `2:11: name: "${LATIN_1}"` + noName},
		{"a long name", called(strings.Repeat("ü", 65)), fmt.Sprintf("2:11: name: %q", strings.Repeat("ü", 65)) +
			noName},
		{"the same name", minimal + strings.TrimPrefix(minimal, "partners:\n"),
			`6:11: name: "contoso" is the partner's on line 2 already; give each its own name`},
		{"cloud", contoso("cloud: azure"),
			`6:12: cloud: "azure" is not a known cloud; write global, usgov, china or germany`},
		{"tenant with slashes", ofTenant("contoso/../x"), `3:16: tenant_id: "contoso/../x"` + noTenant},
		{"tenant of dots", ofTenant(".."), `3:16: tenant_id: ".."` + noTenant},
		{"tenant of two words", ofTenant("Contoso Ltd"), `3:16: tenant_id: "Contoso Ltd"` + noTenant},
		{"tenant of one word", ofTenant("contoso"), `3:16: tenant_id: "contoso"` + noTenant},
		{"tenant of half a GUID", ofTenant("6b0a3a8e-2f0c-4c1b-9d5e"), `3:16: tenant_id: "6b0a3a8e-2f0c-4c1b-9d5e"` + noTenant},
		{"tenant of two dots", ofTenant("contoso..com"), `3:16: tenant_id: "contoso..com"` + noTenant},
		{"tenant that is an address", ofTenant("10.0.0.1"), `3:16: tenant_id: "10.0.0.1"` + noTenant},
		{"client that may be a secret", strings.Replace(minimal, "6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90", "hunter2", 1),
			"4:16: client_id: is not a GUID; write the id that Entra shows for the application"},
		{"authority with a tenant", contoso("authority_url: https://login.microsoftonline.com/contoso.onmicrosoft.com"),
			"6:20: authority_url: " + moreThanAuthority},
		{"authority that is a token's URL", contoso("authority_url: https://proxy.example.com/entra/x/oauth2/v2.0/token"),
			"6:20: authority_url: " + moreThanAuthority},
		{"empty tenant", ofTenant("''"), `3:16: tenant_id: ""` + noTenant},
		{"client", strings.Replace(minimal, "6b0a3a8e-2f0c-4c1b-9d5e-7a1f4b8c2d90", "''", 1),
			"4:16: client_id: is not a GUID; write the id that Entra shows for the application"},
		{"negative rate", contoso("requests_per_minute: -1"),
			`6:26: requests_per_minute: "-1" is not a number from 0 to 1000000; write one such as 500`},
		{"no concurrency", contoso("concurrency: 0"),
			`6:18: concurrency: "0" is not a number from 1 to 64; write one such as 8`},
		{"too much concurrency", contoso("concurrency: 65"),
			`6:18: concurrency: "65" is not a number from 1 to 64; write one such as 8`},
		{"no refresh", contoso("devices_refresh: 0s"), `6:22: devices_refresh: "0s" is too short; write at least 1s`},
		{"relative URL", contoso("api_url: api.example.com"), noBase},
		{"another scheme", contoso("api_url: ftp://example.com"), noBase},
		{"URL without host", contoso("api_url: https:///v1"), noBase},
		{"URL with credentials", contoso("api_url: https://u:pa55word!@example.com"), moreThanBase},
		{"URL with query", contoso("api_url: https://example.com?a=b"), moreThanBase},
		{"URL with fragment", contoso("api_url: https://example.com#a"), moreThanBase},
	})
}

func TestLoad_wrongCustomers(t *testing.T) {
	t.Parallel()
	const id, other = "47021739-3426-40bf-9601-61b4b6d7c793", "47021739-3426-40BF-9601-61B4B6D7C793"
	const noID = " is not a customer id; write its tenant id, such as 47021739-3426-40bf-9601-61b4b6d7c793"
	runMistakeTests(t, []mistakeTest{
		{"neither", contoso("customers: none"),
			`6:16: customers: "none" is neither; write all or a list of customer ids`},
		{"no GUID", contoso("customers: [contoso]"), `6:17: customers: "contoso"` + noID},
		{"GUID in braces", contoso("customers: ['{" + id + "}']"), `6:17: customers: "{` + id + `}"` + noID},
		{"nothing in the list", contoso("customers:\n    - " + id + "\n    -\n"),
			"8:7: customers: has no value; write one, or remove the line"},
		{"twice in other letters", contoso("customers:\n    - " + id + "\n    - " + other),
			`8:7: customers: "` + other + `" repeats line 7; keep one of the two`},
		{"excluded, not a list", contoso("exclude_customers: " + id),
			`6:5: exclude_customers: is not a list; write one item a line, each after "- "`},
		{"excluded twice", contoso("exclude_customers: [" + id + ", " + id + "]"),
			`6:63: exclude_customers: "` + id + `" repeats line 6; keep one of the two`},
	})
}

func TestLoad_wrongCredentials(t *testing.T) {
	t.Parallel()
	const unreadable = `"/x" cannot be read: no such file or directory; put the `
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, lines, large := file("empty", "\n"), file("lines", "a\nb\n"), file("large", strings.Repeat("a", 1<<20+1))
	runMistakeTests(t, []mistakeTest{
		{"none", credential(""),
			"2:5: client_secret_file: is missing; name the file that holds the application's secret, or write " +
				"client_secret, client_certificate_file, federated_token_file or app_user: true"},
		{"two", contoso("client_secret_file: " + file("good", "a\n")),
			"6:5: client_secret_file: is set along with client_secret; keep one of the two"},
		{"certificate", credential("client_certificate_file: /x"),
			"5:30: client_certificate_file: " + unreadable + "certificate and its RSA key there, in PEM"},
		{"certificate that is none", credential("client_certificate_file: " + empty),
			fmt.Sprintf("5:30: client_certificate_file: %q cannot be used: it holds no private key; put the "+
				"certificate's, which may be in a file of its own, beside it: cat CERTIFICATE KEY > BOTH", empty)},
		{"federated token", credential("federated_token_file: /x"),
			"5:27: federated_token_file: " + unreadable + "token of the other authority there"},
		{"user and secret", contoso("app_user: true"),
			"6:5: app_user: is set along with client_secret; keep one of the two (a confidential application's " +
				"secret is app_user_secret_file's)"},
		{"user and token", credential("federated_token_file: " + empty + "\n    app_user: true"),
			"6:5: app_user: is set along with federated_token_file; keep one of the two"},
		{"a user's secret of an application", contoso("app_user_secret_file: " + file("hidden", "a")),
			"6:27: app_user_secret_file: goes with app_user: true; the secret of an application that signs in as " +
				"itself is client_secret_file's"},
		{"expiry that is no date", contoso("client_secret_expires: soon"),
			`6:28: client_secret_expires: "soon" is not a date; write one such as 2027-01-31`},
		{"empty", credential(`client_secret: ""`),
			"5:20: client_secret: holds no secret; put the application's client secret there"},
		{"two lines", credential("client_secret: |\n      a\n      b"),
			"5:20: client_secret: holds more than one line; leave nothing but the client secret"},
		{"no file", credential("client_secret_file: /nowhere/secret"),
			`5:25: client_secret_file: "/nowhere/secret" cannot be read: no such file or directory; ` +
				"put the application's client secret there"},
		{"secret in place of its file", credential("client_secret_file: ${CONTOSO_CLIENT_SECRET}"),
			`5:25: client_secret_file: "${CONTOSO_CLIENT_SECRET}" cannot be read: no such file or directory; ` +
				"put the application's client secret there"},
		{"a directory", credential("client_secret_file: /"),
			`5:25: client_secret_file: "/" cannot be read: is a directory; put the application's client secret there`},
		{"empty file", credential("client_secret_file: " + empty),
			"5:25: client_secret_file: holds no secret; put the application's client secret there"},
		{"file of two lines", credential("client_secret_file: " + lines),
			"5:25: client_secret_file: holds more than one line; leave nothing but the client secret"},
		{"large file", credential("client_secret_file: " + large),
			fmt.Sprintf("5:25: client_secret_file: %q cannot be read: it is larger than 1048576 bytes; put the "+
				"application's client secret there", large)},
	})
}
