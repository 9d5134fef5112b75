package statuspage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/store/report"
	"partnersync/sync"
)

func TestSite_tellsTheLogOnceOfAnOutage(t *testing.T) {
	t.Parallel()
	gone := errors.New("the database is gone")
	for _, test := range []struct {
		name string
		fail func(*Site)
	}{
		{"a page that is watched", func(s *Site) {
			s.fail(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/customers?watch", nil), gone)
		}},
		{"the batches", func(s *Site) { s.batchesNow(context.Background()) }},
		{"an expiry, whoever asks", func(s *Site) {
			s.readCredentials(context.Background(), []sync.Partner{signIn("contoso", "refresh token", time.Time{}, gone)})
		}},
		{"all expiries", func(s *Site) { s.process(context.Background()) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				s.runner = &sync.Runner{}
				s.batches = newCached(func(context.Context) (report.Batches, error) { return report.Batches{}, gone })
				s.credentials = newCached(func(context.Context) ([]credential, error) { return nil, gone })
				lines := func() int { return strings.Count(log.String(), "level=WARN") }
				for range 1000 {
					test.fail(s)
					<-time.After(refreshEvery * time.Second)
				}
				if n := lines(); n != 1 {
					t.Errorf("%d lines of one outage, want one: %s", n, &log)
				}
				<-time.After(time.Hour)
				if test.fail(s); lines() != 2 {
					t.Errorf("%d lines after another outage, want two", lines())
				}
			})
		})
	}
}
