package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// start runs the program until the test ends and returns the configuration it printed, by key.
func start(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, printed := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), noEnv, nil, printed, io.Discard)
		printed.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-exit; code != 0 {
			t.Errorf("exit code %d after an interrupt, want 0", code)
		}
	})
	config := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for config["authority_url"] == "" && lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimLeft(lines.Text(), " -"), ":")
		config[key] = strings.Trim(value, ` "`)
	}
	return config
}

func noEnv(string) string { return "" }

// signIn returns an access token obtained with the printed configuration.
func signIn(t *testing.T, config map[string]string) string {
	t.Helper()
	response, err := http.PostForm(config["authority_url"]+"/"+config["tenant_id"]+"/oauth2/v2.0/token", url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {config["client_id"]},
		"client_secret": {config["client_secret"]},
		"scope":         {"https://api.partnercenter.microsoft.com/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	_, token, _ := strings.Cut(string(body), `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if token == "" {
		t.Fatalf("no token: %s", body)
	}
	return token
}

// get returns the status and body of a GET with the token.
func get(t *testing.T, target, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestRun_printedConfigurationWorks(t *testing.T) {
	t.Parallel()
	config := start(t, "--customers", "2", "--batches", "3", "--client-secret", "open-sesame")
	if config["client_secret"] != "open-sesame" {
		t.Errorf("client_secret is %q", config["client_secret"])
	}
	status, body := get(t, config["api_url"]+"/v1/customers", signIn(t, config))
	if status != http.StatusOK || strings.Count(body, `"objectType":"Customer"`) != 2 {
		t.Errorf("got %d and not two customers: %s", status, body)
	}
}

func TestRun_batchesHaveDevicesUpToTheirNumber(t *testing.T) {
	t.Parallel()
	config := start(t, "--customers", "1", "--batches", "5", "--devices", "3")
	token := signIn(t, config)
	_, body := get(t, config["api_url"]+"/v1/customers", token)
	id := between(t, body, `"items":[{"id":"`, `"`)
	batches := config["api_url"] + "/v1/customers/" + id + "/deviceBatches"
	_, body = get(t, batches, token)
	name := between(t, body, `"items":[{"id":"`, `"`)
	if status, body := get(t, batches+"/"+url.PathEscape(name)+"/devices", token); status != http.StatusOK ||
		!strings.Contains(body, `"totalCount":3,`) {
		t.Errorf("got %d and not three devices: %s", status, body)
	}
}

// between returns what stands in s between two texts.
func between(t *testing.T, s, before, after string) string {
	t.Helper()
	_, rest, _ := strings.Cut(s, before)
	text, _, ok := strings.Cut(rest, after)
	if !ok {
		t.Fatalf("%q … %q is not in %s", before, after, s)
	}
	return text
}

func TestRun_sameSeedSameCustomers(t *testing.T) {
	t.Parallel()
	list := func(seed string) string {
		config := start(t, "--seed", seed)
		_, body := get(t, config["api_url"]+"/v1/customers", signIn(t, config))
		return body
	}
	first, second, other := list("7"), list("7"), list("8")
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("seed 7 gave two lists (-first +second):\n%s", diff)
	}
	if first == other {
		t.Error("seeds 7 and 8 gave the same list")
	}
}

func TestRun_faultRateHitsTheAPIOnly(t *testing.T) {
	t.Parallel()
	config := start(t, "--fault-rate", "1")
	token := signIn(t, config)
	seen := map[int]int{}
	for range 40 {
		status, _ := get(t, config["api_url"]+"/v1/customers", token)
		seen[status]++
	}
	if seen[http.StatusServiceUnavailable] == 0 || seen[http.StatusTooManyRequests] == 0 || len(seen) != 2 {
		t.Errorf("statuses of 40 requests: %v, want 503 and 429 alone", seen)
	}
}

func TestRun_exitCodes(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) // after the parallel tests below
	tests := []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"help", []string{"--help"}, 0, []string{"-fault-rate", "emulated seconds per second"}},
		{"unknown flag", []string{"--no-such-flag"}, 2, []string{"no-such-flag"}},
		{"argument", []string{"serve"}, 2, []string{`unexpected arguments ["serve"]`}},
		{"not a number", []string{"--customers", "many"}, 2, []string{"many"}},
		{"all mistakes at once",
			[]string{"--customers=-1", "--batches=-2", "--devices=-3", "--pace=0", "--speed=-1", "--token-lifetime=1ms", "--fault-rate=2",
				"--tenant="}, 2,
			[]string{"--customers -1", "--batches -2", "--devices -3", "--pace 0s", "--speed -1", "--token-lifetime 1ms", "--fault-rate 2",
				"--tenant, --client-id"}},
		{"no share", []string{"--fault-rate=NaN"}, 2, []string{"--fault-rate NaN"}},
		{"port taken", []string{"--listen", taken.Addr().String()}, 1, []string{"address already in use"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			if code := run(t.Context(), test.args, noEnv, nil, io.Discard, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.says {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, &stderr)
				}
			}
		})
	}
}

func TestSnippet(t *testing.T) {
	t.Parallel()
	o := options{tenant: "contoso.onmicrosoft.com", clientID: "app", clientSecret: `a"$b`}
	tests := []struct {
		name string
		ip   net.IP
		url  string
	}{
		{"loopback", net.IPv4(127, 0, 0, 1), "http://127.0.0.1:8470"},
		{"every interface", net.IPv4zero, "http://localhost:8470"},
		{"every interface, IPv6", net.IPv6unspecified, "http://localhost:8470"},
		{"IPv6", net.IPv6loopback, "http://[::1]:8470"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := `partners:
  - name: emulator
    tenant_id: "contoso.onmicrosoft.com"
    client_id: "app"
    client_secret: "a\"$$b"
    api_url: "` + test.url + `"
    authority_url: "` + test.url + `"
`
			if diff := cmp.Diff(want, snippet(o, &net.TCPAddr{IP: test.ip, Port: 8470})); diff != "" {
				t.Errorf("snippet (-want +got):\n%s", diff)
			}
		})
	}
}
