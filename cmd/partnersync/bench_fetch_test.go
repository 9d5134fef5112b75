package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partnersync/sync/partnercenter/partnercentertest"
)

// fetcher makes the requests of a pass and discards the answers, which is the limit of every pass.
type fetcher struct {
	client *http.Client
	base   string
	token  string
}

func newFetcher(tb testing.TB, base string, concurrency int) *fetcher {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: concurrency}
	tb.Cleanup(transport.CloseIdleConnections)
	f := &fetcher{client: &http.Client{Transport: transport}, base: base}
	resp, err := f.client.PostForm(base+"/"+partnercentertest.DefaultTenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://api.partnercenter.microsoft.com/.default"},
		"client_id": {partnercentertest.DefaultClientID}, "client_secret": {partnercentertest.DefaultClientSecret},
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		tb.Fatalf("no token: %s, %v", resp.Status, err)
	}
	f.token = answer.Token
	return f
}

// all makes the requests of a pass: first one after another for the pages of customers, then a number at a time for
// the lists of batches, and then for those of devices. It returns how long that took and how many bytes were
// received.
func (f *fetcher) all(tb testing.TB, s size, concurrency int) (took time.Duration, bytes int64) {
	tb.Helper()
	began := time.Now()
	for range 1 + (s.Customers-1)/partnercentertest.MaxPageSize {
		n, err := f.get(tb.Context(), "/v1/customers?size=500")
		if err != nil {
			tb.Fatal(err)
		}
		bytes += n
	}
	batches := make([]string, s.Customers)
	for c := range batches {
		batches[c] = "/v1/customers/" + customerID(c) + "/deviceBatches"
	}
	bytes += f.lists(tb, batches, concurrency)
	if s.Devices > 0 {
		var devices []string
		for _, path := range batches {
			for b := range s.Batches {
				devices = append(devices, path+"/"+url.PathEscape(seededBatchID(b))+"/devices")
			}
		}
		bytes += f.lists(tb, devices, concurrency)
	}
	return time.Since(began), bytes
}

// lists fetches the lists at the paths.
func (f *fetcher) lists(tb testing.TB, paths []string, concurrency int) (bytes int64) {
	tb.Helper()
	next, sizes := make(chan string), make([]int64, concurrency)
	g, ctx := errgroup.WithContext(tb.Context())
	g.Go(func() error {
		defer close(next)
		for _, path := range paths {
			select {
			case next <- path:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for i := range concurrency {
		g.Go(func() error {
			for path := range next {
				n, err := f.get(ctx, path)
				if err != nil {
					return err
				}
				sizes[i] += n
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
	for _, n := range sizes {
		bytes += n
	}
	return bytes
}

func (f *fetcher) get(ctx context.Context, path string) (bytes int64, err error) {
	return f.copy(ctx, path, io.Discard)
}

// copy fetches a list, and returns how many bytes were received.
func (f *fetcher) copy(ctx context.Context, path string, to io.Writer) (bytes int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return io.Copy(to, resp.Body)
}
