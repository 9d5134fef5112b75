package partnercentertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"partnersync/sync/partnercenter/partnercentertest"
)

func TestPipe_servesInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport, stop := partnercentertest.Pipe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			io.WriteString(w, r.Host)
		}))
		client := &http.Client{Transport: transport}
		began := time.Now()
		response, err := client.Get("http://any.test/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if string(body) != "any.test" || err != nil || time.Since(began) != time.Hour {
			t.Errorf("%q after %v: %v", body, time.Since(began), err)
		}
		response.Body.Close()
		stop()
		if response, err := client.Get("http://any.test/"); err == nil {
			response.Body.Close()
			t.Error("an answer after the end")
		}
	})
}

func TestFault_trickleIsEndless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := partnercentertest.New(partnercentertest.Options{})
		transport, stop := partnercentertest.Pipe(e)
		defer stop()
		remove := e.Fail(partnercentertest.Fault{Body: "0123456789", Trickle: time.Minute})
		client := &http.Client{Transport: transport}
		get := func(patience time.Duration) (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://piped.test/v1/customers", nil)
			if err != nil {
				return "", err
			}
			response, err := client.Do(request)
			if err != nil {
				return "", err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			return string(body), err
		}
		if got, err := get(10*time.Minute + time.Second); got != "0123456789" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := get(5*time.Minute + time.Second); got != "01234" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, %v", got, err)
		}
		time.AfterFunc(3*time.Minute+time.Second, remove)
		if got, err := get(time.Hour); got != "012" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v", got, err)
		}
	})
}
