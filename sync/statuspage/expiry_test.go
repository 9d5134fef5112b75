package statuspage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/sync"
)

// signIn is a partner that signs in with something that ends then.
func signIn(partner, what string, at time.Time, err error) sync.Partner {
	return sync.Partner{Name: partner, Expiries: expiries(func(context.Context) (sync.Expiry, error) {
		return sync.CredentialExpiry(what, at), err
	})}
}

func expiries(all ...func(context.Context) (sync.Expiry, error)) []func(context.Context) (sync.Expiry, error) {
	return all
}

func TestExpiry_asMetricsAndOnTheOverviewWhenDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	soon, late := time.Now().Add(20*24*time.Hour), time.Now().Add(200*24*time.Hour)
	w.site.Watch(&sync.Runner{Partners: []sync.Partner{
		signIn("contoso", "client certificate", soon, nil),
		signIn("fabrikam", "client secret", late, nil),
		signIn("tailspin", "client secret", time.Now().Add(-time.Hour), nil),
		signIn("nobody", "refresh token", time.Time{}, nil),
		signIn("broken", "client secret", soon, errors.New("reading cert.pem: no such file")),
		{Name: "federated"},
	}})
	metrics := w.hasLine(
		fmt.Sprintf(`partnersync_credential_expiry_timestamp_seconds{partner="contoso",what="client_certificate"} %s`,
			metricValue(soon)),
		fmt.Sprintf(`partnersync_credential_expiry_timestamp_seconds{partner="fabrikam",what="client_secret"} %s`,
			metricValue(late)),
	)
	if n := strings.Count(metrics, "\npartnersync_credential_expiry_timestamp_seconds{"); n != 3 {
		t.Errorf("%d expiries, want 3", n)
	}
	page := w.shows("/", "The client certificate of partner contoso expires at ",
		"Now is the time to make a new client certificate in Entra",
		"The client secret of partner tailspin expired at ")
	for _, not := range []string{"fabrikam", "nobody", "broken", "cert.pem"} {
		if strings.Contains(page, not) {
			t.Errorf("the page names %s", not)
		}
	}
}

// metricValue is a time as the text format has it.
func metricValue(at time.Time) string {
	return strconv.FormatFloat(float64(at.Unix()), 'g', -1, 64)
}

func TestExpiry_nothingIsShownWhereNothingEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	if page := w.shows("/"); strings.Contains(page, "expire") {
		t.Error("the overview tells of sign-ins that nobody has named")
	}
	w.site.Watch(&sync.Runner{Partners: []sync.Partner{{Name: "contoso"}}})
	if page := w.shows("/"); strings.Contains(page, "expire") {
		t.Error("the overview tells of sign-ins that do not end")
	}
}

func TestExpiry_isNotAskedForBeforeTheDatabaseIsThere(t *testing.T) {
	t.Parallel()
	site := New(Options{})
	site.Watch(&sync.Runner{Partners: []sync.Partner{{Name: "contoso",
		Expiries: expiries(func(context.Context) (sync.Expiry, error) {
			t.Error("asked")
			return sync.Expiry{}, nil
		})}}})
	if p := site.process(t.Context()); p.Expiring != nil {
		t.Errorf("got %v", p)
	}
}

func TestExpiry_ofADatabaseThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := New(Options{})
		hangs := func(ctx context.Context) (sync.Expiry, error) {
			<-ctx.Done()
			return sync.Expiry{}, ctx.Err()
		}
		site.runner = &sync.Runner{}
		site.credentials = newCached(func(ctx context.Context) ([]credential, error) {
			return site.readCredentials(ctx, []sync.Partner{{Name: "contoso", Expiries: expiries(hangs)}}), nil
		})
		began := time.Now()
		if p := site.process(t.Context()); p.Expiring != nil || time.Since(began) > time.Second {
			t.Errorf("got %v after %s", p, time.Since(began))
		}
		synctest.Wait()
		<-time.After(expiryTimeout) // the question itself ends too
	})
}
