package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"partnersync/store/outbox"
	"partnersync/sync/partnercenter"
)

// newClient returns a client for one endpoint. It follows no redirects, because events are meant for the configured
// receiver only.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refusedError is an answer other than 2xx.
type refusedError struct {
	status     int
	retryAfter time.Duration // 0: the receiver does not say
}

// Error says what the receiver answered.
func (e *refusedError) Error() string {
	text := fmt.Sprintf("the receiver answered %d %s", e.status, http.StatusText(e.status))
	if e.status >= 300 && e.status < 400 {
		text += "; redirects are not followed: let url be where it leads"
	}
	return strings.TrimSpace(text)
}

// send makes one attempt. Its error shows only the host of the endpoint's URL.
func (s *Sender) send(ctx context.Context, client *http.Client, e Endpoint, d outbox.Delivery) error {
	body, contentType, err := message(e.Format, s.PageURL, d.Notifications)
	if err != nil {
		return fmt.Errorf("writing the message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return errors.New("making the request: the URL cannot be used")
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "partnersync/"+s.Version)
	if err := sign(request.Header, e.Keys, d.ID, time.Now(), body); err != nil {
		return err
	}
	response, err := client.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the text of a url.Error contains the URL
	}
	if err != nil {
		return fmt.Errorf("sending to %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	// The body is of no interest, but reading it lets the connection be reused.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	after := partnercenter.RetryAfter(response.Header.Get("Retry-After"), time.Now(), maxRetryAfter)
	return &refusedError{status: response.StatusCode, retryAfter: after}
}
